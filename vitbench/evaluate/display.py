"""What was found, as a table for readers (terminal, Markdown, LaTeX) or as data (CSV, JSON)."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vitbench.evaluate.scoring import ClassScore, Scores
from vitbench.stats import Interval
from vitbench.tables import latex as tex
from vitbench.tables.columns import MISSING, percent, significant

Form: TypeAlias = Literal["table", "csv", "json", "markdown", "latex"]
Grid: TypeAlias = tuple[list[str], list[list[str]]]

SHOWN_CLASSES = 20
"""Classes in a table for readers at most, those of the lowest accuracy first; csv and json have all."""

COLUMNS = ("quantity", "class", "value", "low", "high", "level", "n", "unit")
LOG_WIDTH = 180
NARROW_SPACE = "\N{NARROW NO-BREAK SPACE}"


@dataclass(frozen=True)
class Found:
    """All that is shown; ``scope`` says to what it applies, ``notes`` what else must be known."""

    scores: Scores
    throughput: Interval | None
    scope: dict[str, Any]
    notes: list[str]


def rendered(found: Found, form: Form) -> str:
    """The text of one form, without notes."""
    if form == "csv":
        return _csv(found)
    if form == "json":
        return json.dumps(_data(found), indent=2, ensure_ascii=False) + "\n"
    write = {"table": _terminal, "markdown": _markdown, "latex": _latex}[form]
    return "\n".join(write(grid) for grid in (_overall(found), _classes(found.scores)))


def rows(found: Found) -> list[dict[str, Any]]:
    """One row a number, in ``COLUMNS``; accuracies and calibration error are fractions."""
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


def _csv(found: Found) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows(found))
    return out.getvalue()


def _data(found: Found) -> dict[str, Any]:
    found_rows = rows(found)
    named = {row["quantity"]: {k: v for k, v in row.items() if k not in {"quantity", "class"}} for row in found_rows}
    named.pop("class_accuracy")
    classes = [
        {k: v for k, v in row.items() if k != "quantity"} for row in found_rows if row["quantity"] == "class_accuracy"
    ]
    return {**found.scope, "notes": found.notes, **named, "classes": classes}


def _overall(found: Found) -> Grid:
    scores = found.scores
    lines = [["Top-1 accuracy (%)", *_cells(scores.top1, percent), str(scores.top1.n)]]
    if scores.top5 is not None:
        lines.append(["Top-5 accuracy (%)", *_cells(scores.top5, percent), str(scores.top5.n)])
    error = scores.calibration.error
    lines.append(["Calibration error (points)", *_cells(error, percent), str(error.n)])
    if found.throughput is not None:
        lines.append(["Throughput (img/s)", *_cells(found.throughput, significant), MISSING])
    return ["Quantity", "Value", "95 % interval", "Images"], lines


def _classes(scores: Scores) -> Grid:
    def order(of: ClassScore) -> tuple[float, int]:
        return (of.accuracy.value if of.accuracy else 2.0, -of.images)

    most = sorted(scores.classes, key=order)[:SHOWN_CLASSES]
    kept = [of for of in scores.classes if of in most] if len(scores.classes) <= SHOWN_CLASSES else most
    lines = [
        [of.name, str(of.images), *(_cells(of.accuracy, percent) if of.accuracy else (MISSING, MISSING))] for of in kept
    ]
    return ["Class", "Images", "Accuracy (%)", "95 % interval"], lines


def _cells(interval: Interval, show: Any) -> tuple[str, str]:
    bounds = MISSING if math.isnan(interval.low) else f"[{show(interval.low)}, {show(interval.high)}]"
    return show(interval.value), bounds


def _terminal(grid: Grid) -> str:
    heads, lines = grid
    console = Console(file=io.StringIO(), width=LOG_WIDTH, no_color=True)
    table = Table(box=None, pad_edge=False, header_style="")
    for index, head in enumerate(heads):
        table.add_column(head, justify="right" if index else "left", no_wrap=True)
    for line in lines:
        table.add_row(*map(escape, line))
    console.print(table)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO, as given
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def _markdown(grid: Grid) -> str:
    heads, lines = grid
    marks = ["---", *["---:"] * (len(heads) - 1)]
    return "".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in (heads, marks, *lines)
    )


def _latex(grid: Grid) -> str:
    heads, lines = grid
    table = tex.tabular(
        "l" + "r" * (len(heads) - 1),
        [*map(tex.escape, heads)],
        [[tex.escape(line[0]), *map(tex.words, line[1:])] for line in lines],
    )
    return tex.definitions(table) + table + "\n"
