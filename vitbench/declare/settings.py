"""Settings by name (``depth``, ``train.lr``, ``data.fraction``, ``measure.dtype``) and as typed (``depth=6``)."""

from __future__ import annotations

import ast
from typing import Any

from vitbench.utils.errors import UserError

DATA_FIELDS = ("img_size", "in_chans", "num_classes")
"""Fields of a model that the data set decides."""

GROUPS = {"": "baseline", "train": "train", "measure": "measure", "data": "data_settings"}
"""Prefix of a setting → the field of an ablation that holds it."""

CROSSED = ("data", "train")
"""Groups of settings that every model has: references vary along their axes too."""


def group_of(setting: str) -> str:
    """The prefix of a setting: ``"train"`` of ``train.lr``, ``""`` of ``depth``."""
    return setting.rpartition(".")[0]


def parse_setting(text: str) -> tuple[str, Any]:
    """Name and value of a typed setting: ``"depth=6"`` → ``("depth", 6)``.

    Numbers, True, False, None and tuples are Python literals; anything else is a word.

    Raises:
        UserError: the name, the ``=`` or the value is missing.
    """
    name, equals, word = text.partition("=")
    if not equals or not name.strip() or not word.strip():
        raise UserError(f"--set {text!r} has no name or no value: type --set depth=6, or --set train.lr=0.001")
    try:
        return name.strip(), ast.literal_eval(word.strip())
    except (ValueError, SyntaxError):
        return name.strip(), word.strip()
