"""Safe reading of pickles: plain data only, never code."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np


def _latin1(text: str, encoding: str) -> bytes:
    """Decodes bytes as Python 3 pickles them in protocol 2."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it uses the encoding {encoding!r}, which plain data never need")
    return text.encode("latin1")


_ALLOWED = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    # numpy's private function has moved between versions, so take it from a reduced array
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy._core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("_codecs", "encode"): _latin1,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}, and a data file may contain plain data only")
        return _ALLOWED[module, name]


def loads(raw: bytes) -> Any:
    """The pickled dicts, lists, tuples, numbers, bytes and numpy arrays; Python 2's strings become bytes.

    Raises:
        pickle.UnpicklingError: the pickle refers to another function or class. A damaged one can raise any exception.
    """
    return _Unpickler(io.BytesIO(raw), encoding="bytes").load()
