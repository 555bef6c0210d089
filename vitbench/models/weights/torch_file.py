"""``torch.save`` files, old (pickles, then bytes) and new (a zip), read without running anything.

A pickle is a program. Before torch sees the file (with ``weights_only=True``) it is run here with every function
replaced by one that notes shapes: what it would rebuild, and whether the file is long enough for it.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeGuard, cast

import torch
from torch import Tensor

from vitbench.models.weights.checkpoint import Checkpoint, damaged
from vitbench.utils.errors import UserError

WRAPPERS = ("model", "state_dict")
"""Keys under which training code keeps the weights: DeiT's ``model``, Lightning's and timm's ``state_dict``."""

OPCODES = frozenset(
    {
        "PROTO",
        "GLOBAL",
        "BINGET",
        "LONG_BINGET",
        "BINPUT",
        "LONG_BINPUT",
        "BINUNICODE",
        "SHORT_BINSTRING",
        "LONG1",
        "STOP",
        "NEWOBJ",
        "REDUCE",
        "BUILD",
        "APPEND",
        "APPENDS",
        "SETITEM",
        "SETITEMS",
        "MARK",
        "TUPLE",
        "TUPLE1",
        "TUPLE2",
        "TUPLE3",
        "NONE",
        "NEWFALSE",
        "NEWTRUE",
        "EMPTY_TUPLE",
        "EMPTY_LIST",
        "EMPTY_DICT",
        "EMPTY_SET",
        "BININT",
        "BININT1",
        "BININT2",
        "BINFLOAT",
        "BINPERSID",
    }
)
"""All opcodes that ``weights_only=True`` knows. Apart from the memo, none allocates more than the file has bytes."""

STORAGES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


class _CodeError(Exception):
    """The pickle names a function that no weights need."""


@dataclass(frozen=True)
class _Storage:
    dtype: torch.dtype
    numel: int


def _rebuild(storage: _Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object) -> Tensor:
    """``torch._utils._rebuild_tensor_v2`` without the values."""
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if min((offset, *size, *stride)) < 0 or last >= max(storage.numel, 1) or math.prod(size) > storage.numel:
        raise pickle.UnpicklingError(f"a tensor of shape {tuple(size)} is not within its {storage.numel} numbers")
    return torch.empty(size, dtype=storage.dtype, device="meta")


def _parameter(tensor: Tensor, *_: object) -> Tensor:
    return tensor


HARMLESS: Mapping[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor"): _rebuild,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch", "Size"): tuple,
    **{("torch", name): dtype for name, dtype in STORAGES.items()},
}


class _Shapes(pickle.Unpickler):
    def __init__(self, file: io.BufferedIOBase, sizes: Mapping[str, int] | None) -> None:
        super().__init__(file, encoding="utf-8")
        self.sizes = sizes  # bytes of each storage, if they are known
        self.storages: dict[str, int] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in HARMLESS:
            raise _CodeError(f"{module}.{name}")
        return HARMLESS[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        _, dtype, key, _, numel, *_ = pid
        size = numel * dtype.itemsize
        if self.sizes is not None and self.sizes.get(key) != size:
            raise pickle.UnpicklingError(f"storage {key} should have {size} bytes, not {self.sizes.get(key)}")
        self.storages[key] = size
        return _Storage(dtype, numel)


def _shapes(file: io.BufferedIOBase, sizes: Mapping[str, int] | None, length: int) -> _Shapes:
    """Checks the pickle at the current position, opcode by opcode, and returns to its start."""
    start = file.tell()
    for opcode, argument, _ in pickletools.genops(cast("IO[bytes]", file)):
        if opcode.name not in OPCODES:
            raise pickle.UnpicklingError(f"{opcode.name} is not used in weights")
        if opcode.name == "LONG_BINPUT" and int(argument or 0) > length:
            raise pickle.UnpicklingError(f"it counts to {argument}")
    file.seek(start)
    return _Shapes(file, sizes)


def open_torch_zip(path: Path, members: Sequence[zipfile.ZipInfo]) -> Checkpoint:
    """A file of current ``torch.save``.

    Raises:
        UserError: it is damaged, tries to run code, or expands to more than its stored size.
    """
    pickles = [member for member in members if member.filename.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise UserError(f"{path} is a zip, but neither of torch.save nor of numpy: unpack it and give the file inside")
    root = pickles[0].filename.removesuffix("data.pkl")
    if any(member.filename == f"{root}constants.pkl" for member in members):
        raise UserError(f"{path} is a TorchScript program, not weights: save model.state_dict() instead")
    if any(member.compress_type != zipfile.ZIP_STORED for member in members) or (
        sum(member.file_size for member in members) > path.stat().st_size
    ):
        raise UserError(f"{path} expands to more than its stored size, which torch.save never writes: not opened")
    sizes = {
        member.filename.removeprefix(f"{root}data/"): member.file_size
        for member in members
        if member.filename.startswith(f"{root}data/")
    }

    def look() -> object:
        with zipfile.ZipFile(path) as archive:
            raw = archive.read(pickles[0])
        return _shapes(io.BytesIO(raw), sizes, len(raw)).load()

    return _checkpoint(path, _guarded(path, look), mmap=True)


def open_torch_pickles(path: Path) -> Checkpoint:
    """A file of ``torch.save`` before 1.6: four pickles (magic number, version, system, weights), keys, then bytes.

    Raises:
        UserError: it is damaged, tries to run code, or says it holds more than it is long.
    """

    def look() -> object:
        length = path.stat().st_size
        with path.open("rb") as file:
            header = [_shapes(file, {}, length).load() for _ in range(3)]
            if header[:2] != [torch.serialization.MAGIC_NUMBER, torch.serialization.PROTOCOL_VERSION]:
                raise pickle.UnpicklingError("it was not written by torch.save")
            body = _shapes(file, None, length)
            loaded = body.load()
            if sum(body.storages.values()) > length - file.tell():
                raise pickle.UnpicklingError("it ends before its tensors do")
            return loaded

    return _checkpoint(path, _guarded(path, look), mmap=False)


def _guarded(path: Path, look: Callable[[], object]) -> object:
    try:
        return look()
    except _CodeError as error:
        raise UserError(
            f"{path} tries to run {error}; weights never need code, so it was not opened: if you trust its author, "
            "load it where it was written and save model.state_dict() alone"
        ) from error
    except OSError:
        raise
    except Exception as error:  # a damaged pickle can raise nearly any error
        raise damaged(path, error) from error


def _checkpoint(path: Path, loaded: object, *, mmap: bool) -> Checkpoint:
    wrapper, weights, beside = _unwrap(loaded)
    if weights is None:
        raise UserError(f"{path} holds a {type(loaded).__name__}, not the weights of a model: save model.state_dict()")

    def read(names: Iterable[str]) -> dict[str, Tensor]:
        try:
            real = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
        except OSError:
            raise
        except Exception as error:
            raise damaged(path, error) from error
        found = real if wrapper is None else real[wrapper]
        return {name: found[name].detach() for name in names}

    tensors = {name: value for name, value in weights.items() if isinstance(value, Tensor)}
    return Checkpoint(path=path, kind="torch", tensors=tensors, read=read, wrapper=wrapper, beside=beside)


def _unwrap(loaded: object) -> tuple[str | None, Mapping[str, object] | None, dict[str, str]]:
    """(key, weights, other entries → why they are not weights)."""
    if not _named(loaded):
        return None, None, {}
    for key in WRAPPERS:
        inside = loaded.get(key)
        if _named(inside):
            beside = {str(other): f"it is stored beside {key!r}" for other in loaded if other != key}
            return key, inside, beside | _no_tensors(inside)
    return None, loaded, _no_tensors(loaded)


def _named(value: object) -> TypeGuard[dict[str, object]]:
    return isinstance(value, dict) and all(isinstance(name, str) for name in value)


def _no_tensors(weights: Mapping[str, object]) -> dict[str, str]:
    return {name: "it is not a tensor" for name, value in weights.items() if not isinstance(value, Tensor)}
