"""Imports functions from the user's own modules, named as ``package.module:function``."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

from vitbench.utils.errors import UserError, unknown


def import_function(path: str) -> Callable[..., Any]:
    """The function ``package.module:function``; the module is searched for on ``sys.path``.

    Raises:
        UserError: the module or the function does not exist, or the module cannot be imported.
    """
    name, _, attribute = path.partition(":")
    module = _import_module(name)
    function: Callable[..., Any] | None = getattr(module, attribute, None)
    if not callable(function):
        own = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise UserError(unknown(f"function of {name}", attribute, own))
    return function


def _import_module(name: str) -> ModuleType:
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
