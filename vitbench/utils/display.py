"""Tables of text for every command: in the terminal, as Markdown, as LaTeX; and rows of data as CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from vitbench.utils import latex

if TYPE_CHECKING:
    from rich.console import Console

Format: TypeAlias = Literal["table", "csv", "json", "markdown", "latex"]

LOG_WIDTH = 180
"""Characters in a line if the output is not a terminal."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Headings and cells of plain text.

    Attributes:
        heads: one for each column.
        rows: as many cells each.
        left: headings of the columns that are aligned left; the first always is.
        wrap: headings of the columns whose cells may take several lines in a narrow terminal.
    """

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: Collection[str] = ()
    wrap: Collection[str] = ()

    @property
    def sides(self) -> list[Literal["left", "right"]]:
        """The alignment of each column."""
        return ["left" if not number or head in self.left else "right" for number, head in enumerate(self.heads)]


def console() -> Console:
    """Standard output; wide enough for any table if it is not a terminal."""
    from rich.console import Console

    made = Console(highlight=False)
    if not made.is_terminal:
        made.width = LOG_WIDTH
    return made


def show(table: Table, on: Console | None = None) -> None:
    """Prints a table in the terminal, followed by an empty line."""
    from rich.markup import escape
    from rich.table import Table as Grid

    screen = console() if on is None else on
    grid = Grid(box=None, pad_edge=False, header_style="bold")
    for head, side in zip(table.heads, table.sides, strict=True):
        stacked = head.replace(", ", ",\n").replace(" (", "\n(").replace(" per ", "\nper ").replace(" to ", "\nto ")
        grid.add_column(stacked, justify=side, no_wrap=head not in table.wrap, overflow="fold")
    for row in table.rows:
        grid.add_row(*map(escape, row))
    screen.print(grid)
    screen.print()


def lines(*texts: str) -> None:
    """Prints lines of plain text, unwrapped."""
    for text in texts:
        console().print(text, markup=False, soft_wrap=True)


def markdown(table: Table) -> str:
    """A table in GitHub's Markdown."""
    marks = ["---:" if side == "right" else "---" for side in table.sides]
    rows = ([cell.replace("|", "\\|") for cell in row] for row in (table.heads, marks, *table.rows))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def tex(table: Table) -> str:
    """A ``tabular`` with booktabs' rules; the first column holds names."""
    columns = "".join(side[0] for side in table.sides)
    rows = [[latex.name(row[0]), *map(latex.words, row[1:])] for row in table.rows]
    made = latex.tabular(columns, [*map(latex.escape, table.heads)], rows)
    return f"{latex.definitions(made)}{made}\n"


def data(rows: Sequence[Mapping[str, Any]], form: Literal["csv", "json"], fields: Sequence[str] = ()) -> str:
    """Rows at full precision.

    Args:
        rows: one mapping each, of plain values.
        form: of the text.
        fields: the header of a CSV; by default the first row's keys.
    """
    if form == "json":
        return json.dumps(rows, indent=2, ensure_ascii=False) + "\n"
    out = io.StringIO()
    writer = csv.DictWriter(out, fields or list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def write(form: Format, rows: Sequence[Mapping[str, Any]], *tables: Table, fields: Sequence[str] = ()) -> None:
    """Prints ``rows`` as CSV or JSON, else the tables for readers."""
    if form in {"csv", "json"}:
        print(data(rows, "csv" if form == "csv" else "json", fields), end="")
        return
    if form == "table":
        for table in tables:
            show(table)
    else:
        print("\n".join({"markdown": markdown, "latex": tex}[form](table) for table in tables), end="")
