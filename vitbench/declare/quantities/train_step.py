"""Seconds of one training step and of its phases, all variants timed together in one session."""

from vitbench.declare.quantities.column import Column
from vitbench.declare.quantities.latency import TIMED_MUST_MATCH, TIMED_SETTINGS
from vitbench.declare.quantities.quantity import Quantity

PHASES = ("forward", "backward", "optimizer")
"""Of a training step, in their order."""

QUANTITY = Quantity(
    kind="train_step",
    measure="vitbench.run.measuring_functions:train_step",
    order=50,
    phase="timing",
    per="session",
    exclusive=True,
    control=True,
    settings=TIMED_SETTINGS,
    must_match=TIMED_MUST_MATCH,
    columns=(
        Column(
            name="train_step_ms", path="train_step", title="Training step (ms)", unit="ms", better="lower", place=40
        ),
        *(
            Column(
                name=f"{phase}_ms",
                path="phases",
                part=phase,
                title=f"Training step, {phase} (ms)",
                unit="ms",
                better="lower",
                optional=True,
                place=40,
            )
            for phase in PHASES
        ),
    ),
    estimate="vitbench.tables.readers:train_step",
    takes="train_step",
)
