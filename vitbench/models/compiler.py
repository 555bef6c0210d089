"""Checks what ``torch.compile`` needs on this machine before it is used."""

from __future__ import annotations

import os
import shutil

from vitbench.utils.errors import UserError


def prepare_compiler(device_type: str) -> None:
    """Makes torch compile in this process, so that no pool of compiling processes disturbs timing or training.

    Raises:
        UserError: the device's compiler is missing.
    """
    if device_type == "cpu" and not compiler():
        raise UserError(
            "compile=True needs a C++ compiler on the CPU, and neither g++ nor the compiler in CXX exists: "
            "apt install g++, or leave compile off"
        )
    import torch._inductor.config as inductor

    inductor.compile_threads = 1


def compiler() -> str | None:
    """The path of the C++ compiler that torch would call; None if there is none."""
    return shutil.which(os.environ.get("CXX") or "g++")
