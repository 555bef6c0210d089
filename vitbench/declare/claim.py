"""``Claim``: a statement about the variants of an ablation, which the report tests."""

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
"""The columns of ``table.csv`` that a claim can be about."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A statement to test, in one of three forms.

    *Better than*: ``better="learned", than="none"``; better means higher accuracy or lower cost. *Equal within a
    margin*: ``equal=("learned", "rope")``, with ``margin`` in the unit of the metric (0.01 is one point of accuracy or
    1 % of a cost). *Grows as*: ``along="depth", exponent=(0.9, 1.1)``, the slope of the log metric on the log axis
    value. A variant is named by its axis value, or by its whole name where two axes share a value.
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
        """Raises ConfigError unless the claim has exactly one of the three forms."""
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
            raise ConfigError(
                f"claim {self.text!r}: margin={self.margin} must be a number above 0 and goes with equal="
            )
        if self.exponent is not None and not self.exponent[0] <= self.exponent[1]:
            raise ConfigError(f"claim {self.text!r}: exponent={self.exponent} takes (low, high)")
