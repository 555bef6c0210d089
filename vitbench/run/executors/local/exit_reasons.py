"""Why a job ended that sent no result, by its process' wait status and the kernel's count of kills; its last words."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from vitbench.run.executors.job import Result

MODULES = re.compile(r"^Extension modules: .*\(total: \d+\)\n", re.MULTILINE)

TAIL = 8000
"""Characters of a failed job's output that are kept."""


def ended(told: Mapping[str, Any], oom_kills_before: int | None) -> Result:
    """What became of a job, by what the fork server tells of its process.

    A signal that another process must have sent makes it ``lost``: SIGTERM, and SIGKILL while memory was left.

    Args:
        told: ``status``, as ``os.waitpid`` gives it; or ``refused``, why there was no process.
        oom_kills_before: ``oom_kills()`` when it began.
    """
    if "refused" in told:
        return Result(status="failed", reason=f"no process could be started: {told['refused']}", lost=True)
    status: int = told["status"]
    if os.WIFEXITED(status):
        left = f"the process left with exit status {os.WEXITSTATUS(status)} before it had a result"
        return Result(status="failed", reason=left)
    number = os.WTERMSIG(status)
    killed = f"the process was killed by {named(number)}"
    if number == signal.SIGTERM:
        return Result(status="failed", reason=killed, lost=True)
    if number != signal.SIGKILL:
        return Result(status="failed", reason=killed)
    ran_out = _ran_out(oom_kills_before)
    if ran_out is None:
        return Result(status="oom", reason=f"{killed}, most likely by the kernel because memory ran out")
    if ran_out:
        return Result(status="oom", reason=f"{killed}: memory ran out")
    return Result(status="failed", reason=f"{killed}, though memory was left", lost=True)


def lost(why: str, oom_kills_before: int | None) -> Result:
    """What became of a job whose server ended."""
    return Result(status="failed", reason=why + ": memory ran out" * bool(_ran_out(oom_kills_before)), lost=True)


def last_words(output: IO[bytes]) -> str:
    """The end of what a job printed, without the list of modules that the report of a segmentation fault ends in."""
    size, most = output.seek(0, os.SEEK_END), 4 * TAIL
    end = os.pread(output.fileno(), most, max(0, size - most)).decode("utf-8", "replace")
    return MODULES.sub("", end)[-TAIL:]


def named(number: int) -> str:
    """``signal 9 (SIGKILL)``."""
    name = signal.Signals(number).name if number in set(signal.Signals) else "a real-time signal"
    return f"signal {number} ({name})"


def oom_kills() -> int | None:
    """How often the kernel has killed for want of memory since it started; None where it does not say."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)


def _ran_out(before: int | None) -> bool | None:
    after = oom_kills()
    return None if before is None or after is None else after > before
