"""Models of timm and torchvision by their names there; each package is imported when one of its models is asked for.

Weights are random: nothing is downloaded unless ``kwargs`` ask for it (``{"pretrained": True}``, timm's own word).
"""

from __future__ import annotations

import difflib
import importlib
import re
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import torch

from vitbench.declare.external import LIBRARIES, ExternalConfig
from vitbench.declare.sizes import Size, as_pair
from vitbench.utils.errors import UserError, choices

NEAREST = 5
CHANNELS = 3
"""Channels of images where a model accepts no other number."""

_OPERATIONS = tuple(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor" for name in ("nms", "qnms"))
"""Operations of torchvision that it describes to torch on import, though only its compiled part defines them."""

_defined: list[torch.library.Library] = []  # garbage-collecting a library would remove its operations


def build_from_library(config: ExternalConfig) -> Any:
    """The model that the library's factory returns for the name after the colon.

    The factory gets ``kwargs``, and those of ``img_size``, ``in_chans`` and ``num_classes`` that the model accepts.

    Raises:
        UserError: the package is missing (with the extra that installs it) or cannot be imported, it has no such model
            (with the nearest names), or the model takes neither these arguments nor images of so many channels.
    """
    package, _, name = config.source.partition(":")
    library = library_with(config.source)
    if package == "timm":
        words, create = {"img_size": "img_size", "in_chans": "in_chans"}, library.create_model
    else:
        words, create = {"img_size": "image_size"}, library.get_model
    offered = {word: _square(getattr(config, ours)) for ours, word in words.items()}
    offered["num_classes"] = config.num_classes
    own = dict(config.kwargs)
    model = _create(create, config.source, name, offered, own)
    if words.get("in_chans") not in {*offered, *own} and config.in_chans != CHANNELS:
        raise UserError(f"{config.source} takes images of {CHANNELS} channels, not in_chans={config.in_chans}")
    return model


def library_with(source: str) -> ModuleType:
    """The library that has the model.

    Raises:
        UserError: the package is missing or cannot be imported, or has no such model.
    """
    package, _, name = source.partition(":")
    library = _library(package)
    known: list[str] = library.list_models()
    is_model: Callable[[str], bool] = getattr(
        library, "is_model", lambda _: False
    )  # deprecated names are not in the list
    if name.partition(".")[0] in known or is_model(name):
        return library
    nearest = difflib.get_close_matches(name, known, n=NEAREST)
    hint = f"did you mean {choices(nearest)}?" if nearest else LIBRARIES[package]
    raise UserError(f"unknown {package} model {name!r}: it has {len(known)} models; {hint}")


def native_img_size(source: str) -> Size | None:
    """The image size that a library's model was made for; None where the library does not say.

    Raises:
        UserError: as ``library_with``.
    """
    package, _, name = source.partition(":")
    if package != "timm":
        return None
    described = getattr(library_with(source), "get_pretrained_cfg", lambda _: None)(name)
    size = getattr(described, "input_size", None)
    return None if size is None else _square(tuple(size[1:]))


def _create(create: Callable[..., Any], source: str, name: str, offered: dict[str, Any], own: Mapping[str, Any]) -> Any:
    """The model; arguments that vitbench offers and it refuses are withdrawn, those of the user are not."""
    for word in own:
        offered.pop(word, None)
    while True:
        try:
            return create(name, **offered, **own)
        except TypeError as error:
            refused = re.search(r"unexpected keyword argument '(\w+)'", str(error))
            if refused and refused[1] in offered:
                del offered[refused[1]]
                continue
            if refused and refused[1] in own:
                raise UserError(f"{source} does not take {refused[1]}={own[refused[1]]!r}: {error}") from error
            raise


def _square(size: Any) -> Any:
    """8 for (8, 8): some models accept only one number."""
    if not isinstance(size, tuple):
        return size
    height, width = as_pair(size)
    return height if height == width else size


def _library(package: str) -> ModuleType:
    """The module with the package's factory and ``list_models``."""
    wanted = {"timm": "timm", "torchvision": "torchvision.models"}[package]
    install = f"pip install 'vitbench[{package}]'"
    try:
        return importlib.import_module(wanted)
    except ModuleNotFoundError as error:
        missing = (error.name or package).partition(".")[0]
        raise UserError(f"models of {package} need {missing}, which is not installed: type {install}") from error
    except Exception as error:
        if "torchvision::" in str(error) and not _defined:
            _do_without_compiled_operations()
            return _library(package)
        raise UserError(f"{package} cannot be imported: {type(error).__name__}: {error}; try {install}") from error


def _do_without_compiled_operations() -> None:
    """Makes a torchvision that was compiled for another torch importable: its classifiers are plain torch.

    Only its detection operations are compiled, and they stay unusable.
    """
    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for schema in _OPERATIONS:
        library.define(schema)  # type: ignore[no-untyped-call]
    _defined.append(library)
    for name in [name for name in sys.modules if name.partition(".")[0] in LIBRARIES]:
        del sys.modules[name]  # they are only half imported
