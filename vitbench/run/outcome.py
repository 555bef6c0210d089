"""``Outcome``: how a run ended."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """How a run ended, in numbers of trials."""

    done: int  # measured in this run
    reused: int  # recorded before
    failed: int  # measurements that failed, in this run or an earlier one; the records say why
    skipped: int  # impossible variants
    left: int  # not started because of the budget or Ctrl-C; the same command runs them
    interrupted: bool  # by Ctrl-C or another signal
    seconds: dict[str, float]  # wall-clock time by phase; "around …": starting, loading and waiting
    stopped: bool = False  # running trials were ended too
