"""Display of the results of an evaluation, as tables or as rows of data."""

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
"""Maximum number of classes in a table, lowest accuracy first; csv and json have all classes."""

COLUMNS = ("quantity", "class", "value", "low", "high", "level", "n", "unit")


@dataclass(frozen=True)
class Results:
    """Scores and throughput of a checkpoint, with the settings they apply to (``scope``) and notes for the reader."""

    scores: Scores
    throughput: Interval | None
    scope: dict[str, Any]
    notes: list[str]


def write(results: Results, form: display.Format) -> None:
    """Prints the results; the notes are the caller's to print."""
    if form == "json":
        print(json.dumps(_data(results), indent=2, ensure_ascii=False))
    else:
        display.write(form, rows(results), _overall(results), _classes(results.scores), fields=COLUMNS)


def rows(results: Results) -> list[dict[str, Any]]:
    """One row per number, with the fields of ``COLUMNS``; accuracies and calibration error are fractions."""
    scores = results.scores
    lines = [_row("top1_accuracy", scores.top1, "images")]
    if scores.top5 is not None:
        lines.append(_row("top5_accuracy", scores.top5, "images"))
    error = scores.calibration
    lines.append(_row("calibration_error", error.error, "images"))
    lines.append(_row("calibration_error_plain", Interval(error.plain, *_NO_BOUNDS, error.error.n), "images"))
    if results.throughput is not None:
        lines.append(_row("throughput_img_s", results.throughput, "windows"))
    unknown = Interval(_NAN, *_NO_BOUNDS, 0)
    lines += [_row("class_accuracy", score.accuracy or unknown, "images", score.name) for score in scores.classes]
    return lines


_NAN = float("nan")
_NO_BOUNDS = (_NAN, _NAN, _NAN)


def _row(quantity: str, interval: Interval, unit: str, name: str | None = None) -> dict[str, Any]:
    numbers = (interval.value, interval.low, interval.high, interval.level)
    return dict(zip(COLUMNS, (quantity, name, *map(_number, numbers), interval.n, unit), strict=True))


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _data(results: Results) -> dict[str, Any]:
    data_rows = rows(results)
    named = {row["quantity"]: {k: v for k, v in row.items() if k not in {"quantity", "class"}} for row in data_rows}
    named.pop("class_accuracy")
    classes = [
        {k: v for k, v in row.items() if k != "quantity"} for row in data_rows if row["quantity"] == "class_accuracy"
    ]
    return {**results.scope, "notes": results.notes, **named, "classes": classes}


def _overall(results: Results) -> Table:
    scores, error = results.scores, results.scores.calibration.error
    lines = [["Top-1 accuracy (%)", *_cells(scores.top1, percent), str(scores.top1.n)]]
    if scores.top5 is not None:
        lines.append(["Top-5 accuracy (%)", *_cells(scores.top5, percent), str(scores.top5.n)])
    lines.append(["Calibration error (points)", *_cells(error, percent), str(error.n)])
    if results.throughput is not None:
        lines.append(["Throughput (img/s)", *_cells(results.throughput, significant), MISSING])
    return Table(heads=("Quantity", "Value", "95 % interval", "Images"), rows=lines)


def _classes(scores: Scores) -> Table:
    def order(score: ClassScore) -> tuple[float, int]:
        return (score.accuracy.value if score.accuracy else 2.0, -score.images)

    shown = list(scores.classes)
    if len(shown) > SHOWN_CLASSES:
        shown = sorted(shown, key=order)[:SHOWN_CLASSES]
    lines = [
        [score.name, str(score.images), *(_cells(score.accuracy, percent) if score.accuracy else (MISSING, MISSING))]
        for score in shown
    ]
    return Table(heads=("Class", "Images", "Accuracy (%)", "95 % interval"), rows=lines)


def _cells(interval: Interval, show: Callable[[float], str]) -> tuple[str, str]:
    bounds = MISSING if math.isnan(interval.low) else f"[{show(interval.low)}, {show(interval.high)}]"
    return show(interval.value), bounds
