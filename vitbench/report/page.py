"""What a report says, in order, before it is written as Markdown or HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd

from vitbench.report import scope, shown_variants
from vitbench.report.answer import answer
from vitbench.report.claims import Judged, judge
from vitbench.report.exports import files
from vitbench.report.methods import methods
from vitbench.report.phrases import Phrase
from vitbench.report.quantities import sections
from vitbench.report.section import Picture
from vitbench.report.text_tables import Grid, comparison_grid, costs, results, seed_grid
from vitbench.tables.columns import STATUS_WORDS
from vitbench.tables.factorial import grid_of
from vitbench.tables.model_families import whole
from vitbench.tables.study import Study
from vitbench.tables.timings import unit_of


@dataclass(frozen=True)
class Trouble:
    """A variant that has no result, or not all of it, and why; ``last``: what it said when it failed."""

    variant: str
    status: str
    reason: str
    last: str = ""


@dataclass(frozen=True, kw_only=True)
class Page:
    """A report, part by part."""

    ablation: str
    question: str
    summary: Sequence[str]
    answer: Sequence[Phrase]
    caveats: Sequence[Phrase]
    results: Grid
    claims: Sequence[Judged]
    pictures: Sequence[Picture]
    costs: Grid
    quantities: Mapping[str, Grid]
    troubles: Sequence[Trouble]
    scope: Sequence[tuple[str, str]]
    methods: Sequence[tuple[str, str]]
    comparisons: Grid
    seeds: Grid | None
    settings: Sequence[tuple[str, str]]
    environments: Sequence[Sequence[tuple[str, str]]]
    commands: Sequence[tuple[str, str]]
    files: Mapping[str, str]


def compose(study: Study, table: pd.DataFrame, compared: pd.DataFrame, pictures: Sequence[Picture]) -> Page:
    """Everything that the report says."""
    bad = troubles(table, last_words(study))
    caveats = [*shown_variants.remarks(study, troubled=len(bad)), *scope.caveats(study, compared)]
    kept = shown_variants.in_tables(study)
    every, few = table, study
    if kept is not None:
        few, table, listed = study.only(kept), *(frame[frame["variant"].isin(kept)] for frame in (table, compared))
    else:
        listed = compared
    seeds = seed_grid(few)
    return Page(
        ablation=study.ablation,
        question=str(study.plan.get("question") or study.ablation),
        summary=scope.summary(study),
        answer=[
            *answer(every, _each_once(study, compared), baseline=study.baseline),
            *(sentence for picture in pictures for sentence in picture.answer),
        ],
        caveats=caveats,
        results=shown_variants.cut(
            study, results(table, listed, baseline=study.baseline, unit=unit_of(study, "latency"))
        ),
        claims=judge(study, every),
        pictures=pictures,
        costs=shown_variants.cut(study, costs(few, table)),
        quantities={kind: shown_variants.cut(study, grid) for kind, grid in sections(few).items()},
        troubles=bad[: shown_variants.ROWS],
        scope=scope.scope(study),
        methods=methods(study),
        comparisons=shown_variants.cut(study, comparison_grid(listed, timed=unit_of(study, "latency"))),
        seeds=None if seeds is None else shown_variants.cut(study, seeds),
        settings=scope.settings(study),
        environments=scope.environments(study),
        commands=scope.commands(study),
        files=files(grid=grid_of(study) is not None),
    )


def _each_once(study: Study, compared: pd.DataFrame) -> pd.DataFrame:
    """Without what the number of training images changes nothing in: a model's latency on other data than the baseline.

    Its row in the table shows that latency all the same; a sentence need not count it again.
    """
    own = {v.name for v in whole(study)}
    return compared[(compared["metric"] == "accuracy") | compared["variant"].isin(own)]


def last_words(study: Study) -> dict[str, str]:
    """What each variant that failed printed last, and its traceback: of the first trial that left either."""
    found: dict[str, str] = {}
    for record in study.records:
        if record.failed and record.variant not in found:
            parts = [record.values.get("output") or "", record.values.get("traceback") or ""]
            if said := "\n".join(line for part in parts for line in part.rstrip().splitlines()):
                found[record.variant] = "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in said)
    return found


def troubles(table: pd.DataFrame, last: Mapping[str, str] = MappingProxyType({})) -> list[Trouble]:
    """Variants that were skipped, failed, or have not been run; ``last``: what they said."""
    return [
        Trouble(
            row["variant"],
            STATUS_WORDS.get(row["status"], row["status"]),
            row["reason"] or "",
            last.get(row["variant"], ""),
        )
        for row in table.to_dict("records")
        if row["status"] != "ok"
    ]
