"""Names of a package that are imported on first use (PEP 562), so that importing the package costs nothing."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy(package: str, modules: Mapping[str, tuple[str, ...]]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The ``__getattr__`` and ``__dir__`` of a package whose ``modules`` hold those names.

    No module may share the name of something it exports: importing the module would hide it.
    """
    home = {name: module for module, exported in modules.items() for name in exported}

    def attribute(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{home[name]}"), name)

    def names() -> list[str]:
        return sorted(home)

    return attribute, names


def resolve(place: str) -> Any:
    """The object that ``module:name`` names; its module is imported now.

    A registry names what loads torch or pandas in this way, so that reading the registry loads neither.
    """
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)
