"""Why a job ended without a result: from the wait status of its process and the kernel's count of memory kills."""

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
"""The number of characters of a failed job's output to keep."""


def exit_result(report: Mapping[str, Any], oom_kills_before: int | None) -> Result:
    """The result of a job whose process ended without one.

    SIGTERM, and SIGKILL while memory was left, must come from another process: the job is ``lost``, not failed.

    Args:
        report: the fork server's report: ``status`` as ``os.waitpid`` gives it, or ``refused``, why there was no
            process.
        oom_kills_before: ``oom_kills()`` when the job began.
    """
    if "refused" in report:
        return Result(status="failed", reason=f"no process could be started: {report['refused']}", lost=True)
    status: int = report["status"]
    if os.WIFEXITED(status):
        reason = f"the process exited with status {os.WEXITSTATUS(status)} before it had a result"
        return Result(status="failed", reason=reason)
    number = os.WTERMSIG(status)
    killed = f"the process was killed by {signal_name(number)}"
    if number == signal.SIGTERM:
        return Result(status="failed", reason=killed, lost=True)
    if number != signal.SIGKILL:
        return Result(status="failed", reason=killed)
    ran_out = _memory_ran_out(oom_kills_before)
    if ran_out is None:
        return Result(status="oom", reason=f"{killed}, most likely by the kernel because memory ran out")
    if ran_out:
        return Result(status="oom", reason=f"{killed}: memory ran out")
    return Result(status="failed", reason=f"{killed}, although memory was left", lost=True)


def lost_result(reason: str, oom_kills_before: int | None) -> Result:
    """The result of a job whose fork server ended."""
    ran_out = ": memory ran out" * bool(_memory_ran_out(oom_kills_before))
    return Result(status="failed", reason=reason + ran_out, lost=True)


def output_tail(output: IO[bytes]) -> str:
    """The end of a job's output, without the list of modules at the end of a segmentation fault's report."""
    size, most = output.seek(0, os.SEEK_END), 4 * TAIL
    end = os.pread(output.fileno(), most, max(0, size - most)).decode("utf-8", "replace")
    return MODULES.sub("", end)[-TAIL:]


def signal_name(number: int) -> str:
    """The number and name of a signal: ``signal 9 (SIGKILL)``."""
    name = signal.Signals(number).name if number in set(signal.Signals) else "a real-time signal"
    return f"signal {number} ({name})"


def oom_kills() -> int | None:
    """The number of processes that the kernel has killed for lack of memory since boot; None if it does not say."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)


def _memory_ran_out(before: int | None) -> bool | None:
    after = oom_kills()
    return None if before is None or after is None else after > before
