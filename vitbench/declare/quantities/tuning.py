"""Tries of learning rate and weight decay, judged on the validation split, and the accuracy under the best try."""

from vitbench.declare.quantities.accuracy import TRAINED_MUST_MATCH, one_thread
from vitbench.declare.quantities.column import Column, with_interval
from vitbench.declare.quantities.quantity import Quantity

PLACE = 110

QUANTITY = Quantity(
    kind="tuning",
    measure="vitbench.run.training_functions:tuning",
    order=80,
    per="try",
    components=("models", "data", "train"),
    settings=("device",),
    more_settings=one_thread,
    must_match=TRAINED_MUST_MATCH,
    columns=(
        *with_interval(
            Column(
                name="accuracy_tuned",
                path="tuned",
                title="Test accuracy, tuned (%)",
                unit="fraction",
                better="higher",
                show="percent",
                place=PLACE,
            )
        ),
        Column(name="tuned_lr", path="tuned", part="lr", title="Tuned learning rate", place=PLACE),
        Column(name="tuned_weight_decay", path="tuned", part="weight_decay", title="Tuned weight decay", place=PLACE),
        Column(
            name="tuning_seconds",
            path="tuned",
            part="seconds",
            title="Tuning (s)",
            unit="s",
            better="lower",
            place=PLACE,
        ),
    ),
    estimate="vitbench.tables.readers:tuning",
    takes="training",
)
