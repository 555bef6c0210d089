"""``torch.compile`` for timing: one piece of compiled code a subject, which no other subject shares or crowds out.

torch keeps compiled code by Python function. Two models of one class would share a function, so that each call walks
past the other's code, and after eight of them torch silently runs the ninth uncompiled. Here each subject has a
function of its own, and running out of room is an error.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import torch

from vitbench.models.compiler import prepare_compiler

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
        prepare_compiler(device_type)
        import torch._dynamo.config as dynamo

        dynamo.fail_on_recompile_limit_hit = True
        dynamo.recompile_limit = max(ROOM, dynamo.recompile_limit)
        own = types.FunctionType(_call.__code__.replace(), globals())
        self.function: Callable[[Any, Any], Any] = torch.compile(own, dynamic=False)
