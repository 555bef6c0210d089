"""What a forward pass costs by arithmetic: parameters, MACs, FLOPs, activations."""

from vitbench.declare.quantities.column import Column
from vitbench.declare.quantities.quantity import Quantity

QUANTITY = Quantity(
    kind="cost",
    measure="vitbench.run.measuring_functions:cost",
    order=10,
    phase="costs",
    uses_device=False,
    must_match=(),
    columns=(
        Column(name="params", path="values.params", title="Parameters", better="lower", show="si", place=10),
        Column(name="macs", path="values.macs", title="MACs per image", better="lower", show="si", place=10),
        Column(name="flops", path="values.flops", title="FLOPs per image", better="lower", show="si", place=10),
        Column(
            name="activations",
            path="values.activations",
            title="Activations per image",
            better="lower",
            show="si",
            place=10,
        ),
    ),
    takes=0.3,
)
