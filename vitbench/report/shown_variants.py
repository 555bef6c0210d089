"""Which variants of a very large study the figures and tables show, and the notes that say so.

Figures show at most ``DRAWN`` variants and tables at most ``ROWS``. They are chosen without the test split and are the
same everywhere. Verdicts, their levels, the answer and the claims rest on all variants, and ``table.csv`` holds all.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from vitbench.report.elements import Phrase, Section, Table, counted
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


def with_note(study: Study, section: Section) -> Section:
    """A section about the shown variants, with a note; it adds nothing to the answer, which is about all variants."""
    note = f"Shown: {counted(DRAWN)} of {counted(len(study.variants))} variants, {_rule(study)}."
    return replace(section, caption=f"{section.caption} {note}", answer=())


def truncated(study: Study, table: Table) -> Table:
    """The table with a note on how many variants it leaves out, where it leaves any."""
    total = len(study.variants)
    if total <= ROWS:
        return table
    return table.with_note(
        f"{counted(ROWS)} of {counted(total)} variants: {_rule(study)}. table.csv has a row for each variant, "
        "records.jsonl has all samples."
    )


def remarks(study: Study, *, failed: int) -> list[Phrase]:
    """What the report leaves out; ``failed`` is the number of variants without all of their results."""
    total = len(study.variants)
    if total <= DRAWN:
        return []
    tables = f", tables {counted(ROWS)}" if total > ROWS else ""
    shown = f"Of {counted(total)} variants, figures show {counted(DRAWN)}{tables}: {_rule(study)}. "
    rest = "The answer, the claims and the levels of all verdicts rest on every variant; table.csv has a row for each."
    found: list[Phrase] = [(shown, rest)]
    if failed > ROWS:
        listed = f"the first {counted(ROWS)} are listed below, and table.csv has the reason for each."
        found.append((f"{counted(failed)} variants lack results: {listed}",))
    return found


def _first(study: Study, count: int) -> Collection[str] | None:
    """The shown variants: baseline, references, then by validation accuracy; ties in the order of the plan."""
    if len(study.variants) <= count:
        return None
    ranked = sorted(study.variants, key=lambda v: (not v.is_baseline, not v.is_reference, -validated(study, v.name)))
    return frozenset(v.name for v in ranked[:count])


def _rule(study: Study) -> str:
    """How the shown variants were chosen."""
    references = ", the references" * any(v.is_reference for v in study.variants)
    last = "those with the highest validation accuracy" if study.of("accuracy") else "the first of the plan"
    return f"the baseline{references} and {last}"
