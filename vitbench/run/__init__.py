"""Runs the trials of an ablation and records the results.

``execute`` runs an ablation, ``plan`` tells what that would take (``entry_points``), after ``run_preflight`` has
described data and device (``preflight``). ``planning`` lists the trials that are not recorded yet. ``sweep`` runs them
in order (``trial_queue``, ``timing_sessions``): each trial is a job (``measuring_functions``, ``training_functions``,
``job_requests``) in a process of its own (``executors``). Only the scheduler's process writes records (``store``), and
it never imports torch. ``progress`` shows how far a run is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitbench.utils.lazy import lazy

if TYPE_CHECKING:
    from vitbench.run.entry_points import check_request, execute, plan
    from vitbench.run.outcome import Outcome
    from vitbench.run.planning.plan import Plan
    from vitbench.run.planning.trial import Trial
    from vitbench.run.preflight import run_preflight
    from vitbench.run.progress.observer import Observer, Progress
    from vitbench.run.store.writer import Writer

__all__ = [
    "Observer",
    "Outcome",
    "Plan",
    "Progress",
    "Trial",
    "Writer",
    "check_request",
    "execute",
    "plan",
    "run_preflight",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "entry_points": ("check_request", "execute", "plan"),
        "outcome": ("Outcome",),
        "planning.plan": ("Plan",),
        "planning.trial": ("Trial",),
        "preflight": ("run_preflight",),
        "store.writer": ("Writer",),
        "progress.observer": ("Observer", "Progress"),
    },
)
