"""A setting as it is typed: ``depth=6``. No torch."""

from __future__ import annotations

import ast
from typing import Any

from vitbench.utils.errors import UserError


def parse_setting(text: str) -> tuple[str, Any]:
    """``"depth=6"`` → ``("depth", 6)``: numbers, True, False, None and (tuples) are read as such, else it is a word.

    Raises:
        UserError: there is no ``=``, or nothing before it.
    """
    name, equals, word = text.partition("=")
    if not equals or not name.strip() or not word.strip():
        raise UserError(f"--set {text!r} sets nothing: write --set depth=6, or --set train.lr=0.001")
    try:
        return name.strip(), ast.literal_eval(word.strip())
    except (ValueError, SyntaxError):
        return name.strip(), word.strip()
