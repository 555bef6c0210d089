"""The sweep: trials in, records out.

``execute`` runs an ablation, ``plan`` says what that would take (``schedule``, ``surveying``). What there is to
measure, less what is recorded already (``planning``), is run in order (``sweep``: ``queue``, ``backlog``, ``timing``):
each trial is a job (``asking``, ``kinds``) in a process of its own (``executors``). Only the scheduler writes records
(``store``), and on its side of the fork torch is never imported. Who wants to know how it goes stands in ``watch``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitbench.utils.lazy import lazy

if TYPE_CHECKING:
    from vitbench.run.planning.plan import Plan
    from vitbench.run.planning.trial import Trial
    from vitbench.run.progress.observer import Observer, Progress
    from vitbench.run.schedule import Outcome, check_request, execute, plan, survey
    from vitbench.run.store.writer import Writer

__all__ = ["Observer", "Outcome", "Plan", "Progress", "Trial", "Writer", "check_request", "execute", "plan", "survey"]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "planning.plan": ("Plan",),
        "planning.trial": ("Trial",),
        "schedule": ("Outcome", "check_request", "execute", "plan", "survey"),
        "store.writer": ("Writer",),
        "progress.observer": ("Observer", "Progress"),
    },
)
