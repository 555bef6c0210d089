"""MACs before anything is measured: by arithmetic where there is a formula, else in a worker. No torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from vitbench.declare.ablation import Variant
from vitbench.declare.model import ModelConfig
from vitbench.measure.counts.closed_form import closed_form
from vitbench.run.executors.job import Result

COUNTED = 100
"""Models whose MACs are counted for a plan, at most; they stand for the others."""


def sampled_macs(
    variants: Sequence[Variant], count: Callable[[Sequence[Variant]], Iterable[tuple[int, Result]]]
) -> dict[str, int]:
    """Variant → MACs per image, of all or of ``COUNTED`` models that are evenly spread.

    Args:
        variants: of a plan; those that cannot be have no number.
        count: those of some for which there is no formula, in a worker; what fails has no number.
    """
    able = [variant for variant in variants if variant.model is not None]
    chosen = [able[i] for i in spread(len(able), COUNTED)]
    found = {variant.name: _formula(variant.model) for variant in chosen}
    others = [variant for variant in chosen if found[variant.name] is None]
    for index, result in count(others) if others else ():
        if result.status == "ok":
            found[others[index].name] = result.value[0].values["macs"]
    return {name: macs for name, macs in found.items() if macs is not None}


def _formula(model: ModelConfig | None) -> int | None:
    form = None if model is None else closed_form(model)
    return None if form is None else form.macs


def spread(count: int, most: int) -> Sequence[int]:
    """The numbers under ``count``, or ``most`` of them, evenly spread, the first and the last among them."""
    return range(count) if count <= most else [i * (count - 1) // (most - 1) for i in range(most)]
