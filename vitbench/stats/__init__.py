"""Pure functions of arrays (numpy, scipy): estimates with intervals, paired tests, multiplicity, verdicts.

Nothing here knows torch, pandas, files or settings. Names are imported on first use (PEP 562).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitbench.lazy import lazy

if TYPE_CHECKING:
    from vitbench.stats.calibration import (
        CalibrationError,
        expected_calibration_error,
        per_class_accuracy,
        softmax,
        wilson_interval,
    )
    from vitbench.stats.estimates import (
        HolmStep,
        Interval,
        control_holds,
        detectable_effect,
        exponent,
        hodges_lehmann,
        holm,
        latency_interval,
        log_ratio_blocks,
        mean_interval,
        paired_interval,
        paired_p,
        ratio_interval,
        sign_flip_p,
    )
    from vitbench.stats.pareto import front_probability, on_front
    from vitbench.stats.scaling import PowerLaw, ahead_share, crossover, power_law
    from vitbench.stats.verdicts import ACCURACY, LATENCY, Comparison, Metric, Verdict, family, verdict

__all__ = [
    "ACCURACY",
    "LATENCY",
    "CalibrationError",
    "Comparison",
    "HolmStep",
    "Interval",
    "Metric",
    "PowerLaw",
    "Verdict",
    "ahead_share",
    "control_holds",
    "crossover",
    "detectable_effect",
    "expected_calibration_error",
    "exponent",
    "family",
    "front_probability",
    "hodges_lehmann",
    "holm",
    "latency_interval",
    "log_ratio_blocks",
    "mean_interval",
    "on_front",
    "paired_interval",
    "paired_p",
    "per_class_accuracy",
    "power_law",
    "ratio_interval",
    "sign_flip_p",
    "softmax",
    "verdict",
    "wilson_interval",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "calibration": (
            "CalibrationError",
            "expected_calibration_error",
            "per_class_accuracy",
            "softmax",
            "wilson_interval",
        ),
        "estimates": (
            "HolmStep",
            "Interval",
            "control_holds",
            "detectable_effect",
            "exponent",
            "hodges_lehmann",
            "holm",
            "latency_interval",
            "log_ratio_blocks",
            "mean_interval",
            "paired_interval",
            "paired_p",
            "ratio_interval",
            "sign_flip_p",
        ),
        "pareto": ("front_probability", "on_front"),
        "scaling": ("PowerLaw", "ahead_share", "crossover", "power_law"),
        "verdicts": ("ACCURACY", "LATENCY", "Comparison", "Metric", "Verdict", "family", "verdict"),
    },
)
