"""Accuracy on the test split after training, one trial per seed."""

from typing import Any

from vitbench.declare.measure import MeasureConfig
from vitbench.declare.quantities.column import Column, comparison, with_interval
from vitbench.declare.quantities.quantity import Quantity

TRAINED_MUST_MATCH = ("packages", "device", "threads", "data", "train")
"""For everything that is trained."""


def one_thread(_: MeasureConfig) -> dict[str, Any]:
    """A training on the CPU uses one thread, whatever the timings use."""
    return {"threads": 1}


QUANTITY = Quantity(
    kind="accuracy",
    measure="vitbench.run.training_functions:accuracy",
    order=70,
    per="seed",
    components=("models", "data", "train"),
    settings=("device",),
    more_settings=one_thread,
    must_match=TRAINED_MUST_MATCH,
    columns=(
        *with_interval(
            Column(
                name="accuracy",
                path="accuracy",
                title="Test accuracy (%)",
                unit="fraction",
                better="higher",
                show="percent",
                place=60,
            )
        ),
        Column(name="seeds", path="accuracy", part="n", title="Seeds", show="count", place=60),
        *comparison(
            Column(
                name="accuracy_delta",
                path="accuracy_delta",
                title="Accuracy against the baseline (points)",
                unit="fraction",
                better="higher",
                show="points",
                place=75,
            )
        ),
    ),
    estimate="vitbench.tables.readers:accuracy",
    takes="training",
)
