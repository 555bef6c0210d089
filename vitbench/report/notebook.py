"""``vitbench.load``: a results folder as a DataFrame that a notebook shows as the report's table.

::

    results = vitbench.load("results/pos_embed")
    results                              # the table with intervals and verdicts, where it is shown
    results[results["params"] < 1e6]     # still a DataFrame, still shown so
    results.figures()                    # every figure; figures()["accuracy"] is matplotlib's
    results.report                       # the whole page
    results.records                      # the raw samples behind all of it
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from vitbench.records.record import Record
from vitbench.report import result_tables
from vitbench.report.cells import Cell
from vitbench.report.elements import Table
from vitbench.tables.columns import columns_for
from vitbench.tables.compare import comparisons
from vitbench.tables.frames import table
from vitbench.tables.study import Study, read_study
from vitbench.utils.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # a table alone does not load matplotlib

    from vitbench.report.elements import Section

FRAME_HEIGHT = 720  # pixels of the frame that shows the whole page
LINE = "1px solid rgba(128, 128, 128, .5)"  # seen on white and on black
PADDING = "padding: .3em .8em"


def load(*directories: str | Path) -> Results:
    """The table of one results folder, or of several of one ablation: one row a variant, baseline first.

    Returns:
        A DataFrame with the columns of ``table.csv``, which a notebook shows as the report does.

    Raises:
        UserError: no records there, or folders that do not belong together.
    """
    study = read_study(*directories)
    compared = comparisons(study)
    found = Results(table(study, compared))
    found._study, found._compared = study, compared  # noqa: SLF001  # handed on as pandas' _metadata
    return found


class Results(pd.DataFrame):
    """The table of a study, with its figures, report and records.

    A selection of rows or columns still knows its study: figures, report and records are always of the whole study. A
    frame that is combined from several frames knows none.
    """

    _metadata = ["_study", "_compared"]  # noqa: RUF012  # pandas' protocol: what a frame hands on
    _study: Study | None = None
    _compared: pd.DataFrame | None = None

    @property
    def _constructor(self) -> Callable[..., Results]:
        return Results

    @property
    def records(self) -> list[Record]:
        """Every record of the study; ``samples`` has a measurement's raw numbers, each list with its unit."""
        return list(self._known()[0].records)

    def figures(self) -> Figures:
        """Every figure of the report, drawn from the records."""
        from vitbench.report.sections import all_sections

        study, compared = self._known()
        return Figures(all_sections(study, table(study, compared), compared))

    @property
    def report(self) -> Report:
        """The report as HTML, made from the records; nothing is written."""
        from vitbench.report import html, page
        from vitbench.report.sections import all_sections

        study, compared = self._known()
        tabulated = table(study, compared)
        sections = list(all_sections(study, tabulated, compared))
        drawings = {section.name: _svg(section.figure) for section in sections}
        return Report(html.render(page.compose(study, tabulated, compared, sections), drawings))

    def _known(self) -> tuple[Study, pd.DataFrame]:
        if self._study is None or self._compared is None:
            raise UserError(
                "this frame was combined from others and has no records: use the one that vitbench.load(DIR) returned; "
                "vitbench.load(DIR, DIR) reads several folders as one"
            )
        return self._study, self._compared

    def _repr_html_(self) -> str | None:
        """The report's table of results, or pandas' own if a column is missing."""
        if not pd.get_option("display.notebook_repr_html"):
            return None
        axes = self._study.plan.get("axes") if self._study is not None else None
        complete = {column.name for column in columns_for(axes or ()) if not column.optional} <= set(self.columns)
        if self._study is None or self._compared is None or not complete or self.empty:
            return pd.DataFrame(self).to_html(notebook=True)
        question = str(self._study.plan.get("question") or self._study.ablation)
        return styled(result_tables.results(self, self._compared, baseline=self._study.baseline), question)


class Figures(dict[str, "Figure"]):
    """Name → matplotlib figure; a notebook shows all of them with their captions."""

    def __init__(self, sections: Iterable[Section]) -> None:
        self._sections = list(sections)
        super().__init__({section.name: section.figure for section in self._sections})

    def _repr_html_(self) -> str:
        shown = []
        for section in self._sections:
            source = base64.b64encode(_svg(section.figure).encode()).decode()
            image = f'<img alt="{escape(section.alt)}" src="data:image/svg+xml;base64,{source}">'
            shown.append(f"<figure>{image}<figcaption>{escape(section.caption)}</figcaption></figure>")
        return "\n".join(shown)


class Report(str):
    """The report's HTML; a notebook shows it in a frame, so that their styles do not mix."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        style = f"width: 100%; height: {FRAME_HEIGHT}px; border: {LINE}"
        return (
            f'<iframe title="vitbench report" sandbox="allow-scripts" style="{style}" srcdoc="{escape(self)}"></iframe>'
        )


def styled(table: Table, title: str) -> str:
    """The table with its style in its tags, because notebooks drop style sheets."""
    sides = ["right" if number else "left" for number in table.numeric]
    heads = [
        f'<th scope="col" style="{PADDING}; text-align: {side}; vertical-align: bottom; border-bottom: {LINE}">'
        f"{escape(head)}</th>"
        for head, side in zip(table.heads, sides, strict=True)
    ]
    rows = [[_shown(cell, side) for cell, side in zip(row, sides, strict=True)] for row in table.rows]
    return "\n".join(
        [
            f"<p><strong>{escape(title)}</strong></p>",
            '<table style="border-collapse: collapse; font-variant-numeric: tabular-nums">',
            f"<thead><tr>{''.join(heads)}</tr></thead>",
            "<tbody>",
            *(f"<tr>{''.join(row)}</tr>" for row in rows),
            "</tbody>",
            "</table>",
            f'<p style="max-width: 60em">{escape(table.caption)}</p>',
        ]
    )


def _shown(cell: Cell, side: str) -> str:
    style = f"{PADDING}; text-align: {side}; vertical-align: top"
    if cell.kind == "name":
        return f'<th scope="row" style="{style}; font-weight: normal"><code>{escape(cell.text)}</code></th>'
    small = f'<br><small style="white-space: nowrap">{escape(cell.small)}</small>' if cell.small else ""
    return f'<td style="{style}">{escape(cell.text)}{small}</td>'


def _svg(figure: Figure) -> str:
    """The figure as ``plots.save`` writes it."""
    from vitbench.plots.style import figure_style

    file = io.StringIO()
    with figure_style():
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()
