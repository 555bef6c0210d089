"""Peak memory of a forward pass and of a training step: modelled, and measured where that was asked for."""

from collections.abc import Iterator

from vitbench.declare.quantities.column import Column
from vitbench.declare.quantities.quantity import Quantity

WAYS = ("allocated", "resident", "reserved", "process")
"""Ways to measure the memory of a real step, beside the modelled peak; the last two on a GPU (docs/memory.md)."""


def _columns() -> Iterator[Column]:
    for way in ("peak", *WAYS):
        for mode in ("inference", "training"):
            yield Column(
                name=f"{way}_memory_{mode}_mib",
                path=f"values.{mode}.bytes" if way == "peak" else f"values.{way}.{mode}",
                title=f"{way.capitalize()} memory, {mode} (MiB)",
                unit="MiB",
                better="lower",
                scale=1 / 2**20,
                optional=way != "peak",
                place=50,
            )


QUANTITY = Quantity(
    kind="memory",
    measure="vitbench.run.measuring_functions:memory",
    order=20,
    phase="costs",
    uses_device=False,
    settings=("device", "batch_size", "dtype", "threads", "channels_last", "checkpoint_activations", "resident"),
    must_match=("packages", "device", "dtype", "batch_size", "checkpoint_activations"),
    columns=tuple(_columns()),
    takes=1.0,
)
