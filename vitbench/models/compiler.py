"""What ``torch.compile`` needs of a machine, asked before it fails for want of it."""

from __future__ import annotations

import os
import shutil

from vitbench.utils.errors import UserError


def prepare_compiler(device_type: str) -> None:
    """From here on torch compiles in this process: no pool of others would live on beside what is timed or trained.

    Raises:
        UserError: the device's compiler is missing.
    """
    if device_type == "cpu" and not compiler():
        raise UserError(
            "compile=True needs a C++ compiler on the CPU, and there is neither g++ nor what CXX names: "
            "apt install g++, or leave compile off"
        )
    import torch._inductor.config as inductor

    inductor.compile_threads = 1


def compiler() -> str | None:
    """The C++ compiler that torch would call; None where there is none."""
    return shutil.which(os.environ.get("CXX") or "g++")
