"""The NVIDIA driver's library, called through ctypes: what it says of a card that torch does not."""

from __future__ import annotations

import ctypes
from typing import Any

LIBRARY = "libnvidia-ml.so.1"


class NvmlError(OSError):
    """A call that failed: its ``function``, and NVML's ``code``."""

    def __init__(self, function: str, code: int) -> None:
        super().__init__(f"{function} failed: NVML error {code}")
        self.function, self.code = function, code


def opened(library: Any = None) -> Any:
    """The library, or one that stands in for it, initialised.

    Raises:
        OSError: there is none here, or it does not start.
    """
    nvml = library or ctypes.CDLL(LIBRARY)
    call(nvml, "nvmlInit_v2")
    return nvml


def call(nvml: Any, function: str, *arguments: Any) -> None:
    """Calls a function of it.

    Raises:
        NvmlError: it failed.
    """
    code = getattr(nvml, function)(*arguments)
    if code:
        raise NvmlError(function, code)


def card(nvml: Any, uuid: str) -> ctypes.c_void_p:
    """A handle of the card of that UUID, ``GPU-…``.

    Raises:
        NvmlError: there is no such card.
    """
    handle = ctypes.c_void_p()
    call(nvml, "nvmlDeviceGetHandleByUUID", uuid.encode(), ctypes.byref(handle))
    return handle


def uuid_of(device: int | str) -> str:
    """A card's UUID as NVML knows it, ``GPU-…``."""
    import torch

    found = str(torch.cuda.get_device_properties(device).uuid)
    return found if found.startswith("GPU-") else f"GPU-{found}"
