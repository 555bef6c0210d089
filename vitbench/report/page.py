"""The content of a report, in order, before it is rendered as Markdown, HTML or LaTeX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd

from vitbench.report import quantities, result_tables, scope, shown_variants
from vitbench.report.answer import answer
from vitbench.report.caveats import caveats
from vitbench.report.claims import Judged, judge
from vitbench.report.elements import Phrase, Section, Table
from vitbench.report.memory_differences import memory_differences
from vitbench.report.methods import methods
from vitbench.tables.columns import STATUS_WORDS
from vitbench.tables.grid import grid_of
from vitbench.tables.model_families import full_data_variants
from vitbench.tables.study import Study
from vitbench.tables.timing_units import unit_of

EFFECTS = "effects.csv"
FILES = {
    "table.csv": "every column in full precision",
    EFFECTS: "main effects and interactions in full precision",
    "table.tex": "LaTeX with booktabs",
    "report.html": "this report as one page",
    "report.md": "this report as Markdown",
    "records.jsonl": "the raw samples",
}
"""File beside the report → what it contains; ``EFFECTS`` belongs to a grid only."""


@dataclass(frozen=True)
class Failure:
    """A variant without all of its results, and why; ``output`` is what it printed last."""

    variant: str
    status: str
    reason: str
    output: str = ""


@dataclass(frozen=True, kw_only=True)
class Page:
    """A report, part by part; ``details`` are tables that the HTML folds."""

    ablation: str
    question: str
    summary: Sequence[str]
    answer: Sequence[Phrase]
    caveats: Sequence[Phrase]
    results: Table
    claims: Sequence[Judged]
    sections: Sequence[Section]
    costs: Table
    quantities: Mapping[str, Table]
    failures: Sequence[Failure]
    scope: Sequence[tuple[str, str]]
    methods: Sequence[tuple[str, str]]
    details: Mapping[str, Table]
    settings: Sequence[tuple[str, str]]
    environments: Sequence[Sequence[tuple[str, str]]]
    commands: Sequence[tuple[str, str]]
    files: Mapping[str, str]


def compose(study: Study, table: pd.DataFrame, compared: pd.DataFrame, sections: Sequence[Section]) -> Page:
    """The whole report."""
    failed = failures(table, last_output(study))
    kept = shown_variants.in_tables(study)
    few, rows, listed = study, table, compared
    if kept is not None:
        few, rows, listed = study.only(kept), *(frame[frame["variant"].isin(kept)] for frame in (table, compared))
    timed = unit_of(study, "latency")
    details = {
        "comparisons": result_tables.all_comparisons(listed, timed=timed),
        "seeds": result_tables.accuracy_by_seed(few),
        "memory": memory_differences(few),
    }
    return Page(
        ablation=study.ablation,
        question=str(study.plan.get("question") or study.ablation),
        summary=scope.summary(study),
        answer=[
            *answer(table, _counted_once(study, compared), baseline=study.baseline),
            *(sentence for section in sections for sentence in section.answer),
        ],
        caveats=[*shown_variants.remarks(study, failed=len(failed)), *caveats(study, compared)],
        results=shown_variants.truncated(
            study, result_tables.results(rows, listed, baseline=study.baseline, unit=timed)
        ),
        claims=judge(study, table),
        sections=sections,
        costs=shown_variants.truncated(study, result_tables.costs(few, rows)),
        quantities={kind: shown_variants.truncated(study, found) for kind, found in quantities.tables(few).items()},
        failures=failed[: shown_variants.ROWS],
        scope=scope.scope(study),
        methods=methods(study),
        details={key: shown_variants.truncated(study, found) for key, found in details.items() if found is not None},
        settings=scope.settings(study),
        environments=scope.environments(study),
        commands=scope.commands(study),
        files={file: what for file, what in FILES.items() if file != EFFECTS or grid_of(study) is not None},
    )


def _counted_once(study: Study, compared: pd.DataFrame) -> pd.DataFrame:
    """The comparisons without a model's latency under another number of training images, which does not change it."""
    own = {v.name for v in full_data_variants(study)}
    return compared[(compared["metric"] == "accuracy") | compared["variant"].isin(own)]


def last_output(study: Study) -> dict[str, str]:
    """Variant → the output and traceback of its first failed trial that left either."""
    found: dict[str, str] = {}
    for record in study.records:
        if record.failed and record.variant not in found:
            parts = [record.values.get("output") or "", record.values.get("traceback") or ""]
            if text := "\n".join(line for part in parts for line in part.rstrip().splitlines()):
                found[record.variant] = "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)
    return found


def failures(table: pd.DataFrame, output: Mapping[str, str] = MappingProxyType({})) -> list[Failure]:
    """The variants that were skipped, failed, or have not been run."""
    return [
        Failure(
            row["variant"],
            STATUS_WORDS.get(row["status"], row["status"]),
            row["reason"] or "",
            output.get(row["variant"], ""),
        )
        for row in table.to_dict("records")
        if row["status"] != "ok"
    ]
