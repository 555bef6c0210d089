"""The learning rate of each step."""

from __future__ import annotations

import math

from vitbench.declare.train import TrainConfig


def learning_rate(step: int, steps: int, config: TrainConfig) -> float:
    """The learning rate of a step, counted from 0: linear warm-up to ``lr``, then cosine decay to 0 at ``steps``."""
    warmup = round(config.warmup_fraction * steps)
    if step < warmup:
        return config.lr * (step + 1) / (warmup + 1)
    return config.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))
