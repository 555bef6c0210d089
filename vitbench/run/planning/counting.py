"""MACs before anything is measured: by arithmetic where there is a formula, else in a worker. No torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from vitbench.config import ExternalConfig, ModelConfig
from vitbench.measure.closed_form import closed_form
from vitbench.run.executors.job import Result
from vitbench.run.planning.blocks import Block
from vitbench.run.planning.trial import Trial

COUNTED = 100
"""Models whose MACs are counted for a plan, at most; they stand for the others."""


def sampled_macs(costs: Block, run: Callable[[Sequence[Trial]], Iterable[tuple[int, Result]]]) -> dict[str, int]:
    """Variant → MACs per image, of all or of ``COUNTED`` models that are evenly spread.

    Args:
        costs: the trials that count everything.
        run: runs some of them; what fails has no number.
    """
    trials = list(costs.only(spread(len(costs), COUNTED)))
    formulas = {trial: found for trial in trials if (found := _formula(trial.variants[0].model)) is not None}
    others = [trial for trial in trials if trial not in formulas]
    for index, result in run(others) if others else ():
        if result.status == "ok":
            formulas[others[index]] = result.value[0].values["macs"]
    return {row.name: macs for trial, macs in formulas.items() for row in trial.rows(trial.variants[0])}


def _formula(model: ModelConfig | None) -> int | None:
    return None if model is None or isinstance(model, ExternalConfig) else closed_form(model).macs


def spread(count: int, most: int) -> Sequence[int]:
    """The numbers under ``count``, or ``most`` of them, evenly spread, the first and the last among them."""
    return range(count) if count <= most else [i * (count - 1) // (most - 1) for i in range(most)]
