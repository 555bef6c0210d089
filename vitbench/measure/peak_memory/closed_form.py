"""Peak memory by arithmetic from a config alone, where its family has a formula (``Family.memory``)."""

from __future__ import annotations

from collections.abc import Mapping

from vitbench.declare.families import family_of
from vitbench.declare.model import ModelConfig
from vitbench.measure.peak_memory.modelled import MemoryPeak
from vitbench.utils.lazy import resolve

FLOAT_BYTES = 4
PARTS = ("parameters", "gradients", "optimizer", "activations", "workspace")


def closed_form(config: ModelConfig, batch_size: int, *, training: bool) -> MemoryPeak | None:
    """The peak in float32; None where the family has no formula, or its formula does not cover this config."""
    formula = family_of(config).memory
    elements: Mapping[str, int] | None = None
    if formula is not None:
        elements = resolve(formula)(config, batch_size, training=training)
    if elements is None:
        return None
    parts = {part: FLOAT_BYTES * elements.get(part, 0) for part in PARTS}
    return MemoryPeak(bytes=sum(parts.values()), **parts)
