"""The sweep: trials in, records out.

``execute`` runs an ablation, ``plan`` says what that would take (``schedule``, ``surveying``). What there is to measure
(``trials``), less what is recorded already (``recorded``), is what is still to be run (``planning``), in order
(``sweep``, ``timing``); each job (``job``, ``kinds``) has a process of its own, forked by a server that has torch
loaded (``server``) and watched by the executor (``local``). Only the scheduler writes records (``opening``,
``recorder``, ``writer``), and on its side of the fork torch is never imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitbench.lazy import lazy

if TYPE_CHECKING:
    from vitbench.run.observer import Observer, Progress
    from vitbench.run.planning import Plan
    from vitbench.run.schedule import Outcome, check_request, execute, plan, survey
    from vitbench.run.trial import Trial
    from vitbench.run.writer import Writer

__all__ = ["Observer", "Outcome", "Plan", "Progress", "Trial", "Writer", "check_request", "execute", "plan", "survey"]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "observer": ("Observer", "Progress"),
        "planning": ("Plan",),
        "schedule": ("Outcome", "check_request", "execute", "plan", "survey"),
        "trial": ("Trial",),
        "writer": ("Writer",),
    },
)
