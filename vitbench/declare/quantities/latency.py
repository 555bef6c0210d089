"""Seconds of one forward call, all variants timed together in one session."""

import dataclasses

from vitbench.declare.measure import MeasureConfig
from vitbench.declare.quantities.column import Column, comparison, with_interval
from vitbench.declare.quantities.quantity import Quantity

TIMED_SETTINGS = ("device", *(f.name for f in dataclasses.fields(MeasureConfig) if f.name != "resident"))
"""All settings except the one that concerns memory alone; a new setting is part of the id by default."""

TIMED_MUST_MATCH = (
    "host", "packages", "device", "dtype", "batch_size", "threads", "compile", "channels_last",
    "checkpoint_activations", "placement",
)  # fmt: skip
"""For everything that is timed; the duration of the measurement need not match."""

QUANTITY = Quantity(
    kind="latency",
    measure="vitbench.run.measuring_functions:latency",
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
