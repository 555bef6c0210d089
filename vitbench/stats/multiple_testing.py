"""Holm's correction for several tests at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class HolmStep:
    """The level at which Holm's procedure tested a hypothesis, and the result."""

    level: float
    rejected: bool


def holm(p_values: Sequence[float], alpha: float = 0.05) -> list[HolmStep]:
    """Holm's step-down procedure (1979): one step per p-value, in the given order.

    The k-th smallest p (k from 0) of m is tested at alpha / (m − k). All steps after the first non-rejection keep its
    level, so that an interval at 1 − level excludes zero difference exactly if Holm rejects.
    """
    m = len(p_values)
    steps: list[HolmStep] = [HolmStep(alpha, rejected=False)] * m
    rejecting, level = True, alpha
    for k, index in enumerate(sorted(range(m), key=lambda i: p_values[i])):
        if rejecting:
            level = alpha / (m - k)
            rejecting = p_values[index] <= level
        steps[index] = HolmStep(level, rejecting)
    return steps
