"""Pure functions of arrays (numpy, scipy): estimates with intervals, paired tests, multiplicity, verdicts.

The functions know neither torch, pandas, files nor settings. Names are imported on first use (PEP 562).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitbench.utils.lazy import lazy

if TYPE_CHECKING:
    from vitbench.stats.calibration import (
        CalibrationError,
        expected_calibration_error,
        per_class_accuracy,
        softmax,
        wilson_interval,
    )
    from vitbench.stats.estimates import (
        Interval,
        control_holds,
        detectable_effect,
        exponent,
        hodges_lehmann,
        latency_interval,
        log_ratio_blocks,
        mean_interval,
        paired_p,
        ratio_interval,
        sign_flip_p,
    )
    from vitbench.stats.multiple_testing import HolmStep, holm
    from vitbench.stats.pareto import front_probability, on_front
    from vitbench.stats.scaling import PowerLaw, ahead_share, crossover, power_law
    from vitbench.stats.sequential import NOMINAL, interim_looks, narrow_enough, ratio_half_width
    from vitbench.stats.timing_diagnostics import (
        Grade,
        block_midpoints,
        by_process,
        drift_p,
        drifts,
        grade,
        order_effect,
        phases_of_median,
        stalls,
    )
    from vitbench.stats.verdicts import ACCURACY, LATENCY, Comparison, Metric, Verdict, compare_with_holm, verdict

__all__ = [
    "ACCURACY",
    "LATENCY",
    "NOMINAL",
    "CalibrationError",
    "Comparison",
    "Grade",
    "HolmStep",
    "Interval",
    "Metric",
    "PowerLaw",
    "Verdict",
    "ahead_share",
    "block_midpoints",
    "by_process",
    "compare_with_holm",
    "control_holds",
    "crossover",
    "detectable_effect",
    "drift_p",
    "drifts",
    "expected_calibration_error",
    "exponent",
    "front_probability",
    "grade",
    "hodges_lehmann",
    "holm",
    "interim_looks",
    "latency_interval",
    "log_ratio_blocks",
    "mean_interval",
    "narrow_enough",
    "on_front",
    "order_effect",
    "paired_p",
    "per_class_accuracy",
    "phases_of_median",
    "power_law",
    "ratio_half_width",
    "ratio_interval",
    "sign_flip_p",
    "softmax",
    "stalls",
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
            "Interval",
            "control_holds",
            "detectable_effect",
            "exponent",
            "hodges_lehmann",
            "latency_interval",
            "log_ratio_blocks",
            "mean_interval",
            "paired_p",
            "ratio_interval",
            "sign_flip_p",
        ),
        "multiple_testing": ("HolmStep", "holm"),
        "pareto": ("front_probability", "on_front"),
        "sequential": ("NOMINAL", "interim_looks", "narrow_enough", "ratio_half_width"),
        "timing_diagnostics": (
            "Grade",
            "by_process",
            "drift_p",
            "drifts",
            "grade",
            "block_midpoints",
            "order_effect",
            "phases_of_median",
            "stalls",
        ),
        "scaling": ("PowerLaw", "ahead_share", "crossover", "power_law"),
        "verdicts": ("ACCURACY", "LATENCY", "Comparison", "Metric", "Verdict", "compare_with_holm", "verdict"),
    },
)
