"""MACs of the variants of a plan, before anything is measured: by formula, otherwise in a worker. No torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from vitbench.declare.model import ModelConfig
from vitbench.declare.variant import Variant
from vitbench.measure.counts.closed_form import closed_form

SAMPLE = 100
"""The largest number of models whose MACs a dry run counts; the others are estimated from these."""


def sampled_macs(
    variants: Sequence[Variant], count: Callable[[Sequence[Variant]], Mapping[str, int]]
) -> dict[str, int]:
    """MACs per image by variant, of all variants or of ``SAMPLE`` evenly spread ones.

    Args:
        variants: the variants of a plan; impossible ones get no number.
        count: counts the MACs of variants that have no formula; it may leave some out.
    """
    possible = [variant for variant in variants if variant.model is not None]
    chosen = [possible[i] for i in spread(len(possible), SAMPLE)]
    found = {variant.name: macs for variant in chosen if (macs := _by_formula(variant.model)) is not None}
    others = [variant for variant in chosen if variant.name not in found]
    return {**found, **(count(others) if others else {})}


def _by_formula(model: ModelConfig | None) -> int | None:
    form = None if model is None else closed_form(model)
    return None if form is None else form.macs


def spread(count: int, most: int) -> Sequence[int]:
    """The numbers below ``count``, or ``most`` evenly spread ones including the first and the last."""
    return range(count) if count <= most else [i * (count - 1) // (most - 1) for i in range(most)]
