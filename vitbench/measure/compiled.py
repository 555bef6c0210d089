"""``torch.compile`` for timing: one piece of compiled code a subject, which no other subject shares or crowds out.

torch keeps compiled code by Python function. Two models of one class would share a function, so that each call walks
past the other's code, and after eight of them torch silently runs the ninth uncompiled. Here each subject has a
function of its own, and running out of room is an error.
"""

from __future__ import annotations

import os
import shutil
import types
from collections.abc import Callable
from typing import Any

import torch

from vitbench.errors import UserError

ROOM = 64
"""Pieces of code that torch keeps for a function inside a model, where its graph breaks."""


def _call(model: Any, images: Any) -> Any:
    return model(images)


class Compiled:
    """A compiled ``function(model, images)``, compiled when it is first called with such a model and such images."""

    def __init__(self, device_type: str) -> None:
        """From here on torch raises, in this process, where it would have gone on uncompiled.

        Raises:
            UserError: the device's compiler is missing.
        """
        if device_type == "cpu" and not compiler():
            raise UserError(
                "compile=True needs a C++ compiler on the CPU, and there is neither g++ nor what CXX names: "
                "apt install g++, or leave compile off"
            )
        import torch._dynamo.config as dynamo
        import torch._inductor.config as inductor

        dynamo.fail_on_recompile_limit_hit = True
        dynamo.recompile_limit = max(ROOM, dynamo.recompile_limit)
        inductor.compile_threads = 1  # no pool of processes that would live on beside what is timed
        own = types.FunctionType(_call.__code__.replace(), globals())
        self.function: Callable[[Any, Any], Any] = torch.compile(own, dynamic=False)


def compiler() -> str | None:
    """The C++ compiler that torch would call; None where there is none."""
    return shutil.which(os.environ.get("CXX") or "g++")
