"""Records → files: the table, the figures, the two reports. Nothing but the records decides their bytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from vitbench import plots
from vitbench.records.reader import Notice, warn
from vitbench.report import figures, html, latex, libraries, markdown, page, shown_variants, text_tables
from vitbench.report.exports import EFFECTS
from vitbench.report.phrases import counted
from vitbench.tables.compare import comparisons
from vitbench.tables.effects import Crossed, crossed, wide
from vitbench.tables.frames import table, write_csv
from vitbench.tables.study import Study, read_study
from vitbench.utils.errors import UserError
from vitbench.utils.garbage_collection import collecting_new_objects_only, without_collector

FIGURES = "figures"


def write(*directories: str | Path, notice: Notice = warn, mixed: bool = False, into: str | Path | None = None) -> Path:
    """Writes ``table.csv``, ``table.tex``, ``figures/``, ``report.md`` and ``report.html``; of a grid ``effects.csv``.

    Args:
        directories: a results folder, or several of one ablation, which are read as one.
        notice: told about a torn end of the records that was left out.
        mixed: whether folders that cannot be merged stand side by side (``tables.read_study``).
        into: the folder that takes the files; by default the first of ``directories``.

    Returns:
        The page's path.

    Raises:
        UserError: no records, folders that do not belong together, or a folder that cannot be written.
    """
    found = _read(*directories, notice=notice, mixed=mixed)
    with collecting_new_objects_only():
        return _written(found, into)


def write_and_show(directory: str | Path) -> tuple[list[str], list[list[str]]]:
    """``write``, and the ``terminal_table`` of what was read for it.

    Raises:
        UserError: as ``write``.
    """
    found = _read(directory)
    with collecting_new_objects_only():
        _written(found)
        return _terminal(found)


def terminal_table(*directories: str | Path) -> tuple[list[str], list[list[str]]]:
    """The final table for a terminal: headings, and rows of plain text with intervals and verdicts."""
    return _terminal(_read(*directories))


@dataclass(frozen=True)
class _Found:
    """What a folder says; reading and comparing take most of the time where there are many records."""

    study: Study
    compared: pd.DataFrame
    tabulated: pd.DataFrame
    crossed: Crossed | None


def _read(*directories: str | Path, notice: Notice = warn, mixed: bool = False) -> _Found:
    with without_collector():
        study = read_study(*directories, notice=notice, mixed=mixed)
        compared = comparisons(study)
        return _Found(study, compared, table(study, compared), crossed(study))


def _written(found: _Found, into: str | Path | None = None) -> Path:
    study, compared, tabulated = found.study, found.compared, found.tabulated
    folder = study.folders[0] if into is None else Path(into)
    try:
        (folder / FIGURES).mkdir(exist_ok=True)
        write_csv(tabulated, folder / "table.csv")
        if found.crossed is not None:
            write_csv(wide(found.crossed.effects), folder / EFFECTS)
        drawn = list(figures.draw(study, tabulated, compared, found.crossed))
        drawings = {}
        for picture in drawn:
            svg, _ = plots.save(picture.figure, folder / FIGURES / picture.name)
            drawings[picture.name] = svg.read_text(encoding="utf-8")
        libraries.note(folder)
        content = page.compose(study, tabulated, compared, drawn)
        (folder / "table.tex").write_text(latex.render(content), encoding="utf-8", newline="\n")
        (folder / "report.md").write_text(markdown.render(content), encoding="utf-8", newline="\n")
        target = folder / "report.html"
        target.write_text(html.render(content, drawings), encoding="utf-8", newline="\n")
    except OSError as error:
        where = error.filename or folder
        raise UserError(f"{where} cannot be written: {error.strerror}; make room or change its permissions") from error
    return target


def _terminal(found: _Found) -> tuple[list[str], list[list[str]]]:
    study, compared, tabulated = found.study, found.compared, found.tabulated
    kept = shown_variants.in_tables(study)
    if kept is None:
        return text_tables.terminal(tabulated, compared, baseline=study.baseline)
    heads, rows = text_tables.terminal(tabulated[tabulated["variant"].isin(kept)], compared, baseline=study.baseline)
    more = f"and {counted(len(tabulated) - len(rows))} more, in table.csv"
    return heads, [*rows, [more, *[""] * (len(heads) - 1)]]
