"""Seconds of one forward call, all variants timed together in one session."""

import dataclasses

from vitbench.declare.measure import MeasureConfig
from vitbench.declare.quantities.column import Column, comparison, with_interval
from vitbench.declare.quantities.quantity import Quantity

TIMED_SETTINGS = ("device", *(f.name for f in dataclasses.fields(MeasureConfig) if f.name != "resident"))
"""All but what is about memory alone, so that a new setting is never left out of an id."""

TIMED_MUST_MATCH = (
    "host", "packages", "device", "dtype", "batch_size", "threads", "compile", "channels_last",
    "checkpoint_activations", "placement",
)  # fmt: skip
"""For everything that is timed. How long it was measured for is not among them."""

QUANTITY = Quantity(
    kind="latency",
    measure="vitbench.run.jobs:latency",
    order=40,
    phase="timing",
    per="session",
    exclusive=True,
    control=True,
    settings=TIMED_SETTINGS,
    must_match=TIMED_MUST_MATCH,
    columns=(
        *with_interval(
            Column(name="latency_ms", path="latency", title="Latency (ms)", unit="ms", better="lower", place=20)
        ),
        *comparison(
            Column(
                name="latency_ratio",
                path="latency_ratio",
                title="Latency relative to the baseline",
                better="lower",
                show="ratio",
                place=70,
            )
        ),
    ),
    estimate="vitbench.tables.readers:latency",
    takes="forward",
)
