"""Images per second in windows of back-to-back calls, and the energy that the same windows took."""

from typing import Any

from vitbench.declare.measure import MeasureConfig
from vitbench.declare.quantities.column import Column, with_interval
from vitbench.declare.quantities.latency import TIMED_MUST_MATCH
from vitbench.declare.quantities.quantity import Quantity

WINDOW_S, WINDOWS = 2.0, 4
"""Seconds of a window, and windows of each variant."""


def windows(_: MeasureConfig) -> dict[str, Any]:
    """How many windows of which length are measured."""
    return {"window_s": WINDOW_S, "windows": WINDOWS}


QUANTITY = Quantity(
    kind="throughput",
    measure="vitbench.run.measuring_functions:throughput",
    order=60,
    phase="timing",
    per="session",
    exclusive=True,
    settings=("device", "batch_size", "dtype", "threads", "compile", "channels_last", "processes"),
    more_settings=windows,
    must_match=TIMED_MUST_MATCH,
    columns=(
        *with_interval(
            Column(
                name="throughput_img_s",
                path="samples.rate",
                title="Throughput (img/s)",
                unit="img/s",
                better="higher",
                log=True,
                place=30,
            ),
            optional=True,
        ),
        Column(
            name="energy_j_per_image",
            path="samples.energy",
            title="Energy per image (J)",
            unit="J",
            better="lower",
            optional=True,
            place=90,
        ),
    ),
    estimate="windows",
    takes=9.0,
)
