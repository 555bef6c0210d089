"""A claim: a statement about the rows of an ablation's table, put to the test by the report. No torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vitbench.utils.errors import ConfigError, unknown

METRICS = (
    "accuracy",
    "latency_ms",
    "train_step_ms",
    "throughput_img_s",
    "peak_memory_inference_mib",
    "peak_memory_training_mib",
    "params",
    "macs",
    "flops",
    "activations",
)
"""What a claim can be about: columns of ``table.csv``."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A statement to put to the test, in one of three forms.

    *Better than*: ``better="learned", than="none"``. *Equal within a margin*: ``equal=("learned", "rope")``, with
    ``margin`` in the metric's own measure (0.01 is a point of accuracy, or one per cent of a cost). *Grows as*:
    ``along="depth", exponent=(0.9, 1.1)``, the slope of log metric on log axis value. Variants are named by their axis
    value, or by their whole name where two axes share a value. Better means higher accuracy, lower cost.
    """

    text: str = field(kw_only=False)
    metric: str = "accuracy"
    source: str
    better: Any = None
    than: Any = None
    equal: tuple[Any, Any] | None = None
    margin: float | None = None
    along: str | None = None
    exponent: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        """Raises ConfigError where the claim is not exactly one of the three forms."""
        if self.metric not in METRICS:
            raise ConfigError(unknown("metric", self.metric, METRICS))
        forms = [self.better is not None, self.equal is not None, self.along is not None]
        if sum(forms) != 1:
            raise ConfigError(
                f"claim {self.text!r} takes one form: better=… than=…, or equal=(…, …), or along=… exponent=(…, …)"
            )
        if (self.better is None) != (self.than is None):
            raise ConfigError(f"claim {self.text!r}: better= and than= go together")
        if (self.along is None) != (self.exponent is None):
            raise ConfigError(f"claim {self.text!r}: along= and exponent= go together")
        if self.margin is not None and (self.equal is None or not self.margin > 0):
            raise ConfigError(f"claim {self.text!r}: margin={self.margin} takes a number above 0, beside equal=")
        if self.exponent is not None and not self.exponent[0] <= self.exponent[1]:
            raise ConfigError(f"claim {self.text!r}: exponent={self.exponent} takes (low, high)")
