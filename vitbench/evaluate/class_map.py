"""Class maps from the classes of a data set to the outputs of a model: ``--class-map FILE``.

The file is CSV with one line per class, ``name,output`` (``tabby cat,281``), or a JSON object ``{"tabby cat": 281}``.
Outputs count from 0. Unmapped outputs are ignored, as in evaluations of ImageNet-R.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

from vitbench.utils.errors import UserError, choices, unknown


def class_map(path: str | Path, classes: Sequence[str], outputs: int) -> tuple[int, ...]:
    """The output of each class, in the order of ``classes``.

    Raises:
        UserError: the file does not exist or has another format; a class is unknown or has no output; an output does
            not exist or belongs to two classes.
    """
    path = Path(path).expanduser()
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise UserError(f"class map {path} cannot be read ({error}): write one line per class: name,output") from None
    found: dict[str, int] = {}
    for name, value in _pairs(path, text):
        if name not in classes:
            raise UserError(f"{path}: {unknown('class', name, list(classes)[:20])}")
        if name in found:
            raise UserError(f"{path} names the class {name!r} twice: give each class one output")
        number = str(value).strip()
        if isinstance(value, bool) or not number.isdecimal() or int(number) >= outputs:
            raise UserError(f"{path}: the output {number!r} of {name!r} does not exist: give 0 to {outputs - 1}")
        found[name] = int(number)
    missing = [name for name in classes if name not in found]
    if missing:
        raise UserError(f"{path} lacks {choices(missing[:5])}{' and more' * (len(missing) > 5)}: name every class")
    numbers = [found[name] for name in classes]
    shared = next((name for name in classes if numbers.count(found[name]) > 1), None)
    if shared is not None:
        raise UserError(f"{path} gives the output {found[shared]} to several classes, {shared!r} first: give it to one")
    return tuple(numbers)


def _pairs(path: Path, text: str) -> list[tuple[str, object]]:
    if text.lstrip().startswith("{"):
        try:
            return list(json.loads(text).items())
        except ValueError as error:
            raise UserError(
                f"{path} is not JSON ({error}): write {{'class': 0, …}}, or one line per class: name,output"
            ) from None
    try:
        rows = [row for row in csv.reader(io.StringIO(text)) if row]
    except csv.Error as error:
        raise UserError(f"{path} is not CSV ({error}): write one line per class: name,output") from None
    wrong = next((row for row in rows if len(row) != 2), None)
    if wrong is not None:
        raise UserError(f"{path}: {','.join(wrong)!r} is not of the form name,output")
    return [(name, output) for name, output in rows]
