"""Models from outside vitbench: ``timm:NAME``, ``torchvision:NAME``, ``package.module:function`` → ``nn.Module``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from vitbench.declare.external import LIBRARIES, ExternalConfig
from vitbench.models.libraries import build_from_library, library_with
from vitbench.utils.errors import UserError
from vitbench.utils.user_code import import_function


def build_external(config: ExternalConfig) -> nn.Module:
    """The model that the library or the function returns for ``kwargs``.

    Those of ``img_size``, ``in_chans`` and ``num_classes`` that it accepts (a function: that its signature names) are
    passed too, unless ``kwargs`` has them. A module is searched for on ``sys.path``. Errors that the function itself
    raises are not caught.

    Raises:
        UserError: no such package, module, function or model, it cannot be imported, does not take these arguments, or
            returns no ``nn.Module``.
    """
    named_in_library = config.source.partition(":")[0] in LIBRARIES
    model = build_from_library(config) if named_in_library else _call(config)
    if not isinstance(model, nn.Module):
        raise UserError(f"{config.source} returned {type(model).__name__}, not a torch.nn.Module: return the model")
    return model


def check_source(config: ExternalConfig) -> None:
    """Imports the library or module of a model without building the model.

    Raises:
        UserError: no such package, module, function or model.
    """
    if config.source.partition(":")[0] in LIBRARIES:
        library_with(config.source)
    else:
        import_function(config.source)


def _call(config: ExternalConfig) -> Any:
    """The return value of the function."""
    function = import_function(config.source)
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
    return function(**kwargs)


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    """The signature, or None where a compiled callable has none."""
    try:
        return inspect.signature(function)
    except ValueError:
        return None
