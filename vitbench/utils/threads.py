"""How many threads numerical libraries take: told by the environment before they are imported, by torch after it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def environment(threads: int) -> dict[str, str]:
    """What a process that has imported nothing yet must find in its environment."""
    return dict.fromkeys(VARIABLES, str(threads))


def ask_for(threads: int) -> None:
    """Puts it into this process' environment, unless torch has read that already."""
    if "torch" not in sys.modules:
        os.environ.update(environment(threads))


@contextlib.contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Inside, torch has so many threads; afterwards as many as before."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
