"""Models that somebody else wrote: ``package.module:function`` → ``nn.Module``."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

from torch import nn

from vitbench.config import ExternalConfig
from vitbench.errors import UserError, unknown


def build_external(config: ExternalConfig) -> nn.Module:
    """Imports the function and calls it with ``kwargs``.

    Those of ``img_size``, ``in_chans`` and ``num_classes`` that its signature names are passed too, unless ``kwargs``
    has them. The module is looked for on ``sys.path``. What the function itself raises is not caught.

    Raises:
        UserError: no such module or function, the module cannot be imported, the function does not take these
            arguments, or returns no ``nn.Module``.
    """
    function = _find(config.source)
    signature = _signature(function)
    offered = {name: getattr(config, name) for name in ("img_size", "in_chans", "num_classes")}
    named = signature.parameters if signature else {}
    kwargs = {name: value for name, value in offered.items() if name in named} | dict(config.kwargs)
    if signature:
        try:
            signature.bind(**kwargs)
        except TypeError as error:
            raise UserError(
                f"{config.source} cannot be called with {', '.join(kwargs) or 'no arguments'}: {error}; "
                f"it takes {signature}: set them in ExternalConfig(kwargs={{…}})"
            ) from error
    model = function(**kwargs)
    if not isinstance(model, nn.Module):
        raise UserError(f"{config.source} returned {type(model).__name__}, not a torch.nn.Module: return the model")
    return model


def _find(source: str) -> Callable[..., Any]:
    name, _, attribute = source.partition(":")
    module = _import(name)
    function = getattr(module, attribute, None)
    if not callable(function):
        own = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise UserError(unknown(f"function of {name}", attribute, own))
    return function


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or name
        if name == missing or name.startswith(f"{missing}."):
            raise UserError(
                f"no module {name!r}: install the package that has it, or put {name.partition('.')[0]}.py "
                "beside the ablation file"
            ) from error
        raise UserError(f"module {name!r} needs {missing!r}, which is not installed: install it") from error
    except Exception as error:
        raise UserError(f"module {name!r} cannot be imported: {type(error).__name__}: {error}") from error


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    """The signature, or None where a compiled callable has none."""
    try:
        return inspect.signature(function)
    except ValueError:
        return None
