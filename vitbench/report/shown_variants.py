"""Of a study of very many variants: which of them figures and tables show, and the sentences that say so.

A picture of thousands of rows shows nothing, and a page of them answers no key. So figures show at most ``DRAWN``
variants and tables at most ``ROWS``, always the same ones, chosen without a look at the test split; verdicts, their
levels, the answer and the claims rest on all, and ``table.csv`` holds all.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from vitbench.report.phrases import Phrase, counted
from vitbench.report.section import Picture
from vitbench.report.text_tables import Grid
from vitbench.tables.model_families import validated
from vitbench.tables.study import Study

DRAWN = 24
ROWS = 400


def in_figures(study: Study) -> Collection[str] | None:
    """The variants that figures, and the tables beside them, show; None for all."""
    return _first(study, DRAWN)


def in_tables(study: Study) -> Collection[str] | None:
    """The variants that have a row in the report's tables; None for all."""
    return _first(study, ROWS)


def among(study: Study, picture: Picture) -> Picture:
    """A picture of some variants, which says so; what it says of these is no answer for all."""
    note = f"Shown: {counted(DRAWN)} of {counted(len(study.variants))} variants, {_rule(study)}."
    return replace(picture, caption=f"{picture.caption} {note}", answer=())


def cut(study: Study, grid: Grid) -> Grid:
    """A table that says how many variants it leaves out, where it leaves any."""
    total = len(study.variants)
    if total <= ROWS:
        return grid
    note = (
        f"{counted(ROWS)} of {counted(total)} variants: {_rule(study)}. table.csv has a row for each, records.jsonl all"
    )
    return replace(grid, caption=f"{grid.caption} {note} that was measured.")


def remarks(study: Study, *, troubled: int) -> list[Phrase]:
    """What a reader must know of what is not shown.

    Args:
        study: as a whole.
        troubled: how many variants were skipped, failed or have not been run.
    """
    total = len(study.variants)
    if total <= DRAWN:
        return []
    tables = f", tables {counted(ROWS)}" if total > ROWS else ""
    said = f"Of {counted(total)} variants, figures show {counted(DRAWN)}{tables}: {_rule(study)}. "
    rest = (
        "What stands beside a figure is said of those that it shows; the answer, the claims and the levels of all "
        "verdicts rest on every variant, and table.csv has a row for each."
    )
    found: list[Phrase] = [(said, rest)]
    if troubled > ROWS:
        many = f"{counted(troubled)} variants have no result, or not all of it; the first {counted(ROWS)} are named "
        found.append((many, "below, and table.csv says why for each."))
    return found


def _first(study: Study, count: int) -> Collection[str] | None:
    """So many variants by the rule: baseline, references, then by validation accuracy; of equals the plan's first."""
    if len(study.variants) <= count:
        return None
    ranked = sorted(study.variants, key=lambda v: (not v.is_baseline, not v.is_reference, -validated(study, v.name)))
    return frozenset(v.name for v in ranked[:count])


def _rule(study: Study) -> str:
    """How those that are shown were chosen, in words."""
    references = ", the references" * any(v.is_reference for v in study.variants)
    last = "those most accurate on the validation split" if study.of("accuracy") else "the first of the plan"
    return f"the baseline{references} and {last}"
