"""The columns of ``table.csv``: name, unit, where the value comes from, which direction is better, how it is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from vitbench.utils.format import count, percent, points, ratio, si, significant, text

Show: TypeAlias = Callable[[Any], str]

STATUS_WORDS = {"oom": "out of memory", "timeout": "timed out", None: "not run yet"}
"""What a status says to a reader, where it does not speak for itself."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of the table.

    Attributes:
        name: in ``table.csv``; a unit is part of it.
        source: ``frame.field`` that holds its value, in the frames of ``frames.sources``.
        title: as readers see it, with the unit in which ``show`` writes the value.
        unit: of the value that is stored.
        better: which direction is the better one, where there is one.
        show: the value as readers see it.
        optional: whether it is left out where no variant has it: records of an earlier version have no such value.
    """

    name: str
    source: str
    title: str
    unit: str = ""
    better: Literal["higher", "lower"] | None = None
    show: Show = text
    optional: bool = False

    @property
    def dtype(self) -> str:
        """Of the column in the table: words, whole numbers that may be missing, or numbers."""
        return "object" if self.show is text else "Int64" if self.show in {si, count} else "float64"


def _with_interval(name: str, source: str, title: str, show: Show, **rest: Any) -> tuple[Column, ...]:
    return (
        Column(name=name, source=f"{source}.value", title=title, show=show, **rest),
        Column(name=f"{name}_low", source=f"{source}.low", title=f"{title}, low", show=show, unit=rest["unit"]),
        Column(name=f"{name}_high", source=f"{source}.high", title=f"{title}, high", show=show, unit=rest["unit"]),
    )


def _comparison(name: str, title: str, show: Show, **rest: Any) -> tuple[Column, ...]:
    return (
        *_with_interval(name, name, title, show, **rest),
        Column(name=f"{name}_level", source=f"{name}.level", title="Level of that interval", show=significant),
        Column(name=f"{name}_verdict", source=f"{name}.verdict", title="Verdict"),
    )


MEASURED_MEMORY = ("allocated", "resident", "reserved", "process")
"""Ways to measure the memory of a real step, beside the modelled peak; the last two on a GPU (docs/memory.md)."""

BEFORE_AXES = (
    Column(name="variant", source="plan.variant", title="Variant"),
    Column(name="family", source="plan.family", title="Family"),
    Column(name="batch_size", source="plan.batch_size", title="Batch size", unit="images", show=count),
    Column(name="status", source="plan.status", title="Status"),
)
AFTER_AXES = (
    Column(name="params", source="cost.params", title="Parameters", better="lower", show=si),
    Column(name="macs", source="cost.macs", title="MACs per image", better="lower", show=si),
    Column(name="flops", source="cost.flops", title="FLOPs per image", better="lower", show=si),
    Column(name="activations", source="cost.activations", title="Activations per image", better="lower", show=si),
    *_with_interval("latency_ms", "latency", "Latency (ms)", significant, unit="ms", better="lower"),
    Column(
        name="throughput_img_s",
        source="throughput.value",
        title="Throughput (img/s)",
        unit="img/s",
        better="higher",
        show=significant,
    ),
    *(
        Column(
            name=f"throughput_img_s_{end}",
            source=f"throughput.{end}",
            title=f"Throughput (img/s), {end}",
            unit="img/s",
            show=significant,
            optional=True,
        )
        for end in ("low", "high")
    ),
    Column(
        name="train_step_ms",
        source="train_step.value",
        title="Training step (ms)",
        unit="ms",
        better="lower",
        show=significant,
    ),
    *(
        Column(
            name=f"{phase}_ms",
            source=f"phases.{phase}",
            title=f"Training step, {phase} (ms)",
            unit="ms",
            better="lower",
            show=significant,
            optional=True,
        )
        for phase in ("forward", "backward", "optimizer")
    ),
    Column(
        name="peak_memory_inference_mib",
        source="memory.inference",
        title="Peak memory, inference (MiB)",
        unit="MiB",
        better="lower",
        show=significant,
    ),
    Column(
        name="peak_memory_training_mib",
        source="memory.training",
        title="Peak memory, training (MiB)",
        unit="MiB",
        better="lower",
        show=significant,
    ),
    *(
        Column(
            name=f"{way}_memory_{mode}_mib",
            source=f"memory.{way}_{mode}",
            title=f"{way.capitalize()} memory, {mode} (MiB)",
            unit="MiB",
            better="lower",
            show=significant,
            optional=True,
        )
        for way in MEASURED_MEMORY
        for mode in ("inference", "training")
    ),
    *_with_interval("accuracy", "accuracy", "Test accuracy (%)", percent, unit="fraction", better="higher"),
    Column(name="seeds", source="accuracy.n", title="Seeds", show=count),
    *_comparison("latency_ratio", "Latency relative to the baseline", ratio, unit="", better="lower"),
    *_comparison("accuracy_delta", "Accuracy against the baseline (points)", points, unit="fraction", better="higher"),
    Column(
        name="achieved_share",
        source="roofline.share",
        title="Achieved share of the ceiling (%)",
        unit="fraction",
        better="higher",
        show=percent,
        optional=True,
    ),
    Column(name="bound", source="roofline.bound", title="Held back by", optional=True),
    Column(
        name="energy_j_per_image",
        source="throughput.energy",
        title="Energy per image (J)",
        unit="J",
        better="lower",
        show=significant,
        optional=True,
    ),
    Column(name="reason", source="plan.reason", title="Why"),
)
TUNED = (
    *_with_interval("accuracy_tuned", "tuned", "Test accuracy, tuned (%)", percent, unit="fraction", better="higher"),
    Column(name="tuned_lr", source="tuned.lr", title="Tuned learning rate", show=significant),
    Column(name="tuned_weight_decay", source="tuned.weight_decay", title="Tuned weight decay", show=significant),
    Column(
        name="tuning_seconds", source="tuned.seconds", title="Tuning (s)", unit="s", better="lower", show=significant
    ),
)
"""What tuning chose, what that gave, and the seconds of all tries that chose it; only where something was tuned."""

COLUMNS = BEFORE_AXES + AFTER_AXES + TUNED
"""Every column that does not depend on the ablation; its axes stand after ``status``."""


def columns_for(axes: Iterable[str], *, tuned: bool = False) -> tuple[Column, ...]:
    """The columns of an ablation's table, one for each axis included; those of tuning before the last, the reason."""
    named = (Column(name=axis, source=f"axes.{axis}", title=axis) for axis in axes)
    return (*BEFORE_AXES, *named, *AFTER_AXES[:-1], *(TUNED if tuned else ()), AFTER_AXES[-1])


def column(name: str) -> Column:
    """The column of that name, whatever the axes."""
    return next(c for c in COLUMNS if c.name == name)
