"""The sweep: trials in, records out.

``execute`` runs an ablation, ``plan`` says what that would take (``schedule``). What is still to be run (``planning``)
is run in order (``sweep``); each job (``job``, ``kinds``) has a process of its own, forked by a server that has torch
loaded (``server``) and watched by the executor (``local``). Only the scheduler writes records (``writer``), and on its
side of the fork torch is never imported.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vitbench.run.observer import Observer, Progress
    from vitbench.run.planning import Plan
    from vitbench.run.schedule import Outcome, check_request, execute, plan, survey
    from vitbench.run.trial import Trial
    from vitbench.run.writer import Writer

_MODULES = {
    "Observer": "observer",
    "Outcome": "schedule",
    "Plan": "planning",
    "Progress": "observer",
    "Trial": "trial",
    "Writer": "writer",
    "check_request": "schedule",
    "execute": "schedule",
    "plan": "schedule",
    "survey": "schedule",
}

__all__ = ["Observer", "Outcome", "Plan", "Progress", "Trial", "Writer", "check_request", "execute", "plan", "survey"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'vitbench.run' has no attribute {name!r}")
    return getattr(importlib.import_module(f"vitbench.run.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
