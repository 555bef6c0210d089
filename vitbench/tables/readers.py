"""Readers of the quantities that generic estimates do not fit: each returns its frames by name, indexed by variant."""

from __future__ import annotations

from typing import Any

import pandas as pd

from vitbench import stats
from vitbench.tables import roofline
from vitbench.tables.compare import seed_accuracies
from vitbench.tables.estimates import bounds, indexed
from vitbench.tables.frames import BASELINE, MILLISECONDS, not_withheld, timings
from vitbench.tables.study import Study
from vitbench.tables.timing_units import absolute, phases
from vitbench.tables.tuned import tuned_accuracies


def latency(study: Study, compared: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Absolute latencies, and ratios to the baseline."""
    return {
        "latency": _by_variant(timings(study)),
        "latency_ratio": _against_baseline(study, compared, "latency_ms"),
    }


def train_step(study: Study, _compared: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Absolute times of training steps and their phases; the phases add up to the step."""
    parts = [
        {"name": record.variant}
        | {name: absolute(record, seconds).value * MILLISECONDS for name, seconds in phases(record).items()}
        for record in not_withheld(study, "train_step")
    ]
    return {"train_step": _by_variant(timings(study, "train_step_ms")), "phases": indexed(parts)}


def accuracy(study: Study, compared: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Mean accuracies over seeds, and differences from the baseline."""
    means = [
        {"name": v.name, **_fraction(seeds)}
        for v in study.variants
        if v.reason is None and (seeds := seed_accuracies(study, v.name))
    ]
    return {"accuracy": indexed(means), "accuracy_delta": _against_baseline(study, compared, "accuracy")}


def tuning(study: Study, _compared: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The tuned hyperparameters, the resulting accuracy, and the seconds of all tries."""
    rows = []
    for name, chosen in study.chosen.items():
        row = {"name": name, "lr": chosen.lr, "weight_decay": chosen.weight_decay, "seconds": chosen.seconds}
        seeds = tuned_accuracies(study, name)
        rows.append(row | (_fraction(seeds) if seeds else {}))
    return {"tuned": indexed(rows)}


def ceiling(study: Study, _compared: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The position of each variant on the machine's roofline."""
    return {"roofline": _by_variant(roofline.points(study, timings(study)))}


def _fraction(seeds: dict[int, float]) -> dict[str, float]:
    """The mean over seeds with its interval, clipped to [0, 1]."""
    return bounds(stats.mean_interval(list(seeds.values())), lambda number: min(max(number, 0.0), 1.0))


def _by_variant(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.rename(columns={"variant": "name"}).set_index("name")


def _against_baseline(study: Study, compared: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The comparisons in one metric, with a row for the baseline whose verdict is ``baseline``."""
    own: dict[str, Any] = {"name": study.baseline, "verdict": BASELINE}
    return pd.concat([indexed([own]), _by_variant(compared[compared["metric"] == metric])])
