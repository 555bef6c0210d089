"""The number of threads of numerical libraries: from the environment before import, from torch afterwards."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def environment(threads: int) -> dict[str, str]:
    """The environment variables that limit libraries to this many threads when they are imported."""
    return dict.fromkeys(VARIABLES, str(threads))


def set_environment(threads: int) -> None:
    """Sets these variables in this process, unless torch is imported already."""
    if "torch" not in sys.modules:
        os.environ.update(environment(threads))


@contextlib.contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Runs the block with this many torch threads, then restores the number."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
