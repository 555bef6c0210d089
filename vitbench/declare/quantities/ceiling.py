"""How fast this machine multiplies matrices, moves memory and launches operators, whatever the model."""

from typing import Any

from vitbench.declare.measure import MeasureConfig
from vitbench.declare.quantities.column import Column
from vitbench.declare.quantities.latency import TIMED_MUST_MATCH
from vitbench.declare.quantities.quantity import Quantity

MOST_WINDOWS = 6
"""Windows of each ceiling; fewer where a timing session has fewer blocks."""


def windows(measure: MeasureConfig) -> dict[str, Any]:
    """How many windows are measured."""
    return {"windows": min(MOST_WINDOWS, measure.blocks)}


QUANTITY = Quantity(
    kind="ceiling",
    measure="vitbench.run.measuring_functions:ceiling",
    order=30,
    phase="ceilings",
    per="machine",
    exclusive=True,
    components=("measure",),
    settings=("device", "dtype", "threads"),
    more_settings=windows,
    must_match=TIMED_MUST_MATCH,
    columns=(
        Column(
            name="achieved_share",
            path="roofline",
            part="share",
            title="Achieved share of the ceiling (%)",
            unit="fraction",
            better="higher",
            show="percent",
            optional=True,
            place=80,
        ),
        Column(name="bound", path="roofline", part="bound", title="Held back by", show="text", optional=True, place=80),
    ),
    estimate="vitbench.tables.readers:ceiling",
    takes=4.0,
)
