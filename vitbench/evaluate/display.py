"""The results of an evaluation: tables for readers, or rows of data."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vitbench.evaluate.scoring import ClassScore, Scores
from vitbench.stats import Interval
from vitbench.utils import display
from vitbench.utils.display import Table
from vitbench.utils.format import MISSING, percent, significant

SHOWN_CLASSES = 20
"""The most classes in a table for readers, those of the lowest accuracy first; csv and json have all."""

COLUMNS = ("quantity", "class", "value", "low", "high", "level", "n", "unit")


@dataclass(frozen=True)
class Found:
    """Results; ``scope`` is what they apply to, ``notes`` what else a reader must know."""

    scores: Scores
    throughput: Interval | None
    scope: dict[str, Any]
    notes: list[str]


def write(found: Found, form: display.Format) -> None:
    """Prints the results without the notes."""
    if form == "json":
        print(json.dumps(_data(found), indent=2, ensure_ascii=False))
    else:
        display.write(form, rows(found), _overall(found), _classes(found.scores), fields=COLUMNS)


def rows(found: Found) -> list[dict[str, Any]]:
    """One row for each number, with the fields of ``COLUMNS``; accuracies and calibration error are fractions."""
    scores = found.scores
    lines = [_row("top1_accuracy", scores.top1, "images")]
    if scores.top5 is not None:
        lines.append(_row("top5_accuracy", scores.top5, "images"))
    error = scores.calibration
    lines.append(_row("calibration_error", error.error, "images"))
    lines.append(_row("calibration_error_plain", Interval(error.plain, *_NO_BOUNDS, error.error.n), "images"))
    if found.throughput is not None:
        lines.append(_row("throughput_img_s", found.throughput, "windows"))
    for of in scores.classes:
        none = Interval(_NAN, *_NO_BOUNDS, 0)
        lines.append(_row("class_accuracy", of.accuracy or none, "images", of.name))
    return lines


_NAN = float("nan")
_NO_BOUNDS = (_NAN, _NAN, _NAN)


def _row(quantity: str, interval: Interval, unit: str, name: str | None = None) -> dict[str, Any]:
    numbers = (interval.value, interval.low, interval.high, interval.level)
    return dict(zip(COLUMNS, (quantity, name, *map(_number, numbers), interval.n, unit), strict=True))


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _data(found: Found) -> dict[str, Any]:
    found_rows = rows(found)
    named = {row["quantity"]: {k: v for k, v in row.items() if k not in {"quantity", "class"}} for row in found_rows}
    named.pop("class_accuracy")
    classes = [
        {k: v for k, v in row.items() if k != "quantity"} for row in found_rows if row["quantity"] == "class_accuracy"
    ]
    return {**found.scope, "notes": found.notes, **named, "classes": classes}


def _overall(found: Found) -> Table:
    scores, error = found.scores, found.scores.calibration.error
    lines = [["Top-1 accuracy (%)", *_cells(scores.top1, percent), str(scores.top1.n)]]
    if scores.top5 is not None:
        lines.append(["Top-5 accuracy (%)", *_cells(scores.top5, percent), str(scores.top5.n)])
    lines.append(["Calibration error (points)", *_cells(error, percent), str(error.n)])
    if found.throughput is not None:
        lines.append(["Throughput (img/s)", *_cells(found.throughput, significant), MISSING])
    return Table(heads=("Quantity", "Value", "95 % interval", "Images"), rows=lines)


def _classes(scores: Scores) -> Table:
    def order(of: ClassScore) -> tuple[float, int]:
        return (of.accuracy.value if of.accuracy else 2.0, -of.images)

    most = sorted(scores.classes, key=order)[:SHOWN_CLASSES]
    kept = [of for of in scores.classes if of in most] if len(scores.classes) <= SHOWN_CLASSES else most
    lines = [
        [of.name, str(of.images), *(_cells(of.accuracy, percent) if of.accuracy else (MISSING, MISSING))] for of in kept
    ]
    return Table(heads=("Class", "Images", "Accuracy (%)", "95 % interval"), rows=lines)


def _cells(interval: Interval, show: Callable[[float], str]) -> tuple[str, str]:
    bounds = MISSING if math.isnan(interval.low) else f"[{show(interval.low)}, {show(interval.high)}]"
    return show(interval.value), bounds
