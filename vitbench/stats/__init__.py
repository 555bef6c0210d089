"""Pure functions of arrays (numpy, scipy): estimates with intervals, paired tests, multiplicity, verdicts.

Nothing here knows torch, pandas, files or settings. Names are imported on first use (PEP 562).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitbench.lazy import lazy

if TYPE_CHECKING:
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
    from vitbench.stats.verdicts import ACCURACY, LATENCY, Comparison, Metric, Verdict, family, verdict

__all__ = [
    "ACCURACY",
    "LATENCY",
    "Comparison",
    "HolmStep",
    "Interval",
    "Metric",
    "Verdict",
    "control_holds",
    "detectable_effect",
    "exponent",
    "family",
    "hodges_lehmann",
    "holm",
    "latency_interval",
    "log_ratio_blocks",
    "mean_interval",
    "paired_interval",
    "paired_p",
    "ratio_interval",
    "sign_flip_p",
    "verdict",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
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
        "verdicts": ("ACCURACY", "LATENCY", "Comparison", "Metric", "Verdict", "family", "verdict"),
    },
)
