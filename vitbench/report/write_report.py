"""Writes the table, the figures and the reports; the records decide every byte."""

from __future__ import annotations

import importlib.metadata
import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from vitbench import plots
from vitbench.records.reader import Notice, warn
from vitbench.report import html, markdown, page, result_tables, shown_variants, tex_file
from vitbench.report.elements import counted
from vitbench.report.sections import all_sections
from vitbench.tables.compare import comparisons
from vitbench.tables.effects import Crossed, crossed, wide
from vitbench.tables.frames import table, write_csv
from vitbench.tables.study import Study, read_study
from vitbench.utils.errors import UserError
from vitbench.utils.garbage_collection import collecting_new_objects_only, without_collector

FIGURES = "figures"
DRAWN_WITH = "drawn_with.json"
"""The file with the versions of the libraries that drew the figures, whose bytes depend on them."""


def write(*directories: str | Path, notice: Notice = warn, mixed: bool = False, into: str | Path | None = None) -> Path:
    """Writes the report of one results folder, or of several of one ablation; a grid has ``effects.csv`` too.

    Args:
        directories: the results folders.
        notice: called with a warning about a torn last record.
        mixed: whether folders that cannot be merged are shown side by side (``tables.read_study``).
        into: the folder for the files; by default the first of ``directories``.

    Returns:
        The path of ``report.html``.

    Raises:
        UserError: no records, folders that do not belong together, or a folder that cannot be written.
    """
    found = _read(*directories, notice=notice, mixed=mixed)
    with collecting_new_objects_only():
        return _write(found, into)


def write_and_show(directory: str | Path) -> tuple[list[str], list[list[str]]]:
    """Writes the report and returns its ``terminal_table``.

    Raises:
        UserError: as ``write``.
    """
    found = _read(directory)
    with collecting_new_objects_only():
        _write(found)
        return _terminal(found)


def terminal_table(*directories: str | Path) -> tuple[list[str], list[list[str]]]:
    """The final table for a terminal: headings, and rows of plain text with intervals and verdicts."""
    return _terminal(_read(*directories))


def library_versions() -> dict[str, str]:
    """Name → version of the libraries that draw, and of the font engine inside matplotlib."""
    from matplotlib import ft2font

    names = ("matplotlib", "seaborn", "numpy", "scipy", "pandas", "pillow")
    return {**{name: importlib.metadata.version(name) for name in names}, "freetype": str(ft2font.__freetype_version__)}


@dataclass(frozen=True)
class _Found:
    """The study and its tables; with many records, reading and comparing take most of the time."""

    study: Study
    compared: pd.DataFrame
    tabulated: pd.DataFrame
    crossed: Crossed | None


def _read(*directories: str | Path, notice: Notice = warn, mixed: bool = False) -> _Found:
    with without_collector():
        study = read_study(*directories, notice=notice, mixed=mixed)
        compared = comparisons(study)
        return _Found(study, compared, table(study, compared), crossed(study))


def _write(found: _Found, into: str | Path | None = None) -> Path:
    study, compared, tabulated = found.study, found.compared, found.tabulated
    folder = study.folders[0] if into is None else Path(into)
    try:
        (folder / FIGURES).mkdir(exist_ok=True)
        write_csv(tabulated, folder / "table.csv")
        if found.crossed is not None:
            write_csv(wide(found.crossed.effects), folder / page.EFFECTS)
        sections = list(all_sections(study, tabulated, compared, found.crossed))
        drawings = {}
        for section in sections:
            svg, _ = plots.save(section.figure, folder / FIGURES / section.name)
            drawings[section.name] = svg.read_text(encoding="utf-8")
        content = page.compose(study, tabulated, compared, sections)
        texts = {
            DRAWN_WITH: json.dumps(library_versions(), indent=2) + "\n",
            "table.tex": tex_file.render(content),
            "report.md": markdown.render(content),
            "report.html": html.render(content, drawings),
        }
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        where = error.filename or folder
        raise UserError(f"{where} cannot be written: {error.strerror}; free space or change its permissions") from error
    return folder / "report.html"


def _terminal(found: _Found) -> tuple[list[str], list[list[str]]]:
    study, compared, tabulated = found.study, found.compared, found.tabulated
    kept = shown_variants.in_tables(study)
    if kept is None:
        return result_tables.terminal(tabulated, compared, baseline=study.baseline)
    few = tabulated[tabulated["variant"].isin(kept)]
    heads, rows = result_tables.terminal(few, compared, baseline=study.baseline)
    return heads, [*rows, [f"and {counted(len(tabulated) - len(rows))} more, in table.csv", *[""] * (len(heads) - 1)]]
