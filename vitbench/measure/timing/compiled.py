"""``torch.compile`` for timing, with separate compiled code for each subject.

torch caches compiled code per Python function. Two models of one class would share a function, so that each call checks
the guards of both, and after eight models torch silently runs the ninth uncompiled. Here each subject has its own
function, and exceeding the limit is an error.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import torch

from vitbench.models.compiler import prepare_compiler

RECOMPILE_LIMIT = 64
"""Maximum number of compiled versions of a function inside a model, where the graph breaks."""


def _call(model: Any, images: Any) -> Any:
    return model(images)


class Compiled:
    """A ``function(model, images)`` that is compiled on its first call with a kind of model and images."""

    def __init__(self, device_type: str) -> None:
        """Makes torch raise an error, in this process, instead of running uncompiled.

        Raises:
            UserError: the device's compiler is missing.
        """
        prepare_compiler(device_type)
        import torch._dynamo.config as dynamo

        dynamo.fail_on_recompile_limit_hit = True
        dynamo.recompile_limit = max(RECOMPILE_LIMIT, dynamo.recompile_limit)
        own = types.FunctionType(_call.__code__.replace(), globals())
        self.function: Callable[[Any, Any], Any] = torch.compile(own, dynamic=False)
