"""The plan as a dry run prints it: its rows (a sample of very many), its trials and the estimated time. No torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table

from vitbench.declare.variant import Variant
from vitbench.run.planning.macs import spread
from vitbench.run.planning.plan import Plan
from vitbench.run.progress.view import duration, opening

ROWS = 40
"""The largest number of rows to show."""

REASONS = 8
"""The largest number of reasons for skipping to show."""

NEEDS = {"teacher": "taught by", "init_from": "starts from"}
"""How a row uses another one, by role."""


def show(plan: Plan, console: Console) -> None:
    """Prints the rows with their MACs, the trials by kind, and the estimated time."""
    console.print(opening(plan), highlight=False, markup=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("variant", overflow="fold")
    table.add_column("MACs per image", justify="right")
    table.add_column("training images", justify="right")
    table.add_column("")
    data = plan.preflight.data
    shown = _sample(plan)
    for variant in shown:
        macs = plan.macs.get(variant.name)
        images = variant.images(data["num_train"], data["num_classes"])
        table.add_row(variant.name, "" if macs is None else f"{macs:,}", f"{images:,}", _remark(variant))
    console.print(table)
    for line in (*_omitted(plan, len(shown)), *_work(plan)):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _sample(plan: Plan) -> Sequence[Variant]:
    """All rows, or evenly spread ones with known MACs, the baseline first."""
    if len(plan.variants) <= ROWS:
        return plan.variants
    counted = [variant for variant in plan.variants if variant.name in plan.macs]
    return [counted[i] for i in spread(len(counted), ROWS)]


def _remark(variant: Variant) -> str:
    if variant.is_baseline or variant.reason:
        return "baseline" if variant.is_baseline else f"skipped: {variant.reason}"
    return ", ".join(f"{NEEDS[role]} {name}" for role, name in variant.needs.items())


def _omitted(plan: Plan, shown: int) -> Iterator[str]:
    """What the table does not show."""
    if shown == len(plan.variants):
        return
    yield f"… {shown} of {len(plan.variants):,} rows are shown, evenly spread"
    possible = sum(variant.model is not None for variant in plan.variants)
    if len(plan.macs) < possible:
        yield f"… MACs were counted for {len(plan.macs)} of {possible:,} models, evenly spread; the time is for all"
    reasons = Counter(variant.reason for variant in plan.variants if variant.reason).most_common()
    for reason, number in reasons[:REASONS]:
        yield f"{number:,} skipped: {reason}"
    if rest := reasons[REASONS:]:
        yield f"{sum(number for _, number in rest):,} skipped for {len(rest):,} other reasons"


def _work(plan: Plan) -> Iterator[str]:
    width = max((len(f"{number:,}") for number in plan.counts.values()), default=0)
    for kind, number in plan.counts.items():
        yield f"{number:{max(4, width)},} × {kind}"
    yield from plan.reuse_notes
    if plan.seconds is not None:
        yield f"about {duration(plan.seconds)} on this machine"
