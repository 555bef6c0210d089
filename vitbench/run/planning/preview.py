"""How a plan looks in the terminal before it is run: its rows, and of very many rows some. No torch."""

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
"""Rows that are shown."""

REASONS = 8
"""Reasons for skipping that are shown."""

NEEDS = {"teacher": "taught by", "init_from": "starts from"}
"""What a row has of another one, by role."""


def show(plan: Plan, console: Console) -> None:
    """Rows with their MACs, trials by kind, and the time that they will take."""
    console.print(opening(plan), highlight=False, markup=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("variant", overflow="fold")
    table.add_column("MACs per image", justify="right")
    table.add_column("training images", justify="right")
    table.add_column("")
    data = plan.survey.data
    shown = _shown(plan)
    for variant in shown:
        macs = plan.macs.get(variant.name)
        images = variant.images(data["num_train"], data["num_classes"])
        table.add_row(variant.name, "" if macs is None else f"{macs:,}", f"{images:,}", _remark(variant))
    console.print(table)
    for line in (*_left_out(plan, len(shown)), *_work(plan)):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _shown(plan: Plan) -> Sequence[Variant]:
    """All rows, or evenly spread ones whose MACs were counted, the baseline first."""
    if len(plan.variants) <= ROWS:
        return plan.variants
    counted = [variant for variant in plan.variants if variant.name in plan.macs]
    return [counted[i] for i in spread(len(counted), ROWS)]


def _remark(variant: Variant) -> str:
    if variant.is_baseline or variant.reason:
        return "baseline" if variant.is_baseline else f"skipped: {variant.reason}"
    return ", ".join(f"{NEEDS[role]} {name}" for role, name in variant.needs.items())


def _left_out(plan: Plan, shown: int) -> Iterator[str]:
    """What the table does not show."""
    if shown == len(plan.variants):
        return
    yield f"… {shown} of {len(plan.variants):,} rows are shown, evenly spread"
    able = sum(variant.model is not None for variant in plan.variants)
    if len(plan.macs) < able:
        yield f"… MACs were counted for {len(plan.macs)} of {able:,}, evenly spread; the time is for all"
    reasons = Counter(variant.reason for variant in plan.variants if variant.reason).most_common()
    for reason, number in reasons[:REASONS]:
        yield f"{number:,} skipped: {reason}"
    if rest := reasons[REASONS:]:
        yield f"{sum(number for _, number in rest):,} skipped for {len(rest):,} other reasons"


def _work(plan: Plan) -> Iterator[str]:
    width = max((len(f"{number:,}") for number in plan.counts.values()), default=0)
    for kind, number in plan.counts.items():
        yield f"{number:{max(4, width)},} × {kind}"
    yield from plan.taken
    if plan.seconds is not None:
        yield f"about {duration(plan.seconds)} on this machine"
