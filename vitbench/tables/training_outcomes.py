"""Training outcomes beyond accuracy: learning curves, accuracy per class, and calibration."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from vitbench import stats
from vitbench.records.record import Record
from vitbench.tables.comparable import comparable_seeds, seed_records
from vitbench.tables.compare import settings_of
from vitbench.tables.model_families import families
from vitbench.tables.study import Study

PROGRESS = ("variant", "family", "epoch", "steps", "seconds", "val_accuracy")
CLASSES = ("name", "images", "first", "second", "value", "low", "high", "level", "n", "kind", "verdict")
CALIBRATION = (
    "variant", "family", "error", "low", "high", "plain", "expected", "excess", "excess_low", "excess_high", "seeds",
    "images",
)  # fmt: skip

BOOTSTRAP = 300
"""Bootstrap draws; interval ends are accurate to about a tenth of the width."""


def progress(study: Study) -> pd.DataFrame:
    """Mean validation accuracy over seeds by epoch, with elapsed steps and seconds: columns ``PROGRESS``.

    Trials without recorded steps are omitted.
    """
    fields = ["epoch", "steps", "seconds", "val_accuracy"]
    parts = []
    for family, variants in families(study).items():
        for v in variants:
            kept = [
                pd.DataFrame({name: arrays[name] for name in fields})
                for _, arrays in trained(study, v.name)
                if all(name in arrays for name in fields)
            ]
            if kept:
                mean = pd.concat(kept).groupby("epoch", as_index=False).mean()
                parts.append(mean.assign(variant=v.name, family=family))
    return pd.concat(parts, ignore_index=True)[list(PROGRESS)] if parts else pd.DataFrame(columns=list(PROGRESS))


def class_differences(study: Study, first: str, second: str) -> pd.DataFrame:
    """The comparison of two variants in the accuracy of each class, paired by seed, as one Holm family.

    Returns:
        One row per class with the columns ``CLASSES``: ``first`` and ``second`` are means over seeds, ``value`` their
        difference (fractions). Empty if either variant has no recorded predictions with labels.
    """
    names = [str(name) for name in (study.plan.get("data") or {}).get("classes") or []]
    ours, theirs = (_by_class(study, variant, len(names)) for variant in (first, second))
    like, _ = comparable_seeds(study, *(seed_records(study, variant) for variant in (first, second)))
    common = [seed for seed in like if seed in ours and seed in theirs]
    if not common or not names:
        return pd.DataFrame(columns=list(CLASSES))
    one, other = (np.stack([found[seed][0] for seed in common]) for found in (ours, theirs))
    images = ours[common[0]][1]
    present = [i for i in range(len(names)) if images[i]]
    compared = stats.compare_with_holm(
        {str(i): one[:, i] - other[:, i] for i in present}, settings_of(study, "accuracy")
    )
    rows = []
    for i in present:
        c = compared[str(i)]
        rows.append((names[i], int(images[i]), one[:, i].mean(), other[:, i].mean(), c.value, c.low, c.high, c.level,
                     c.n, c.verdict.kind, c.verdict.text))  # fmt: skip
    return pd.DataFrame(rows, columns=list(CLASSES))


def calibration(study: Study) -> pd.DataFrame:
    """The calibration error of every variant with recorded logits: columns ``CALIBRATION``.

    ``error`` is the mean over seeds of ``stats.expected_calibration_error``, and its bounds are the means of their
    bounds: all seeds share the test images, so more seeds do not narrow the interval. ``excess`` is mean confidence −
    accuracy, with its t interval over seeds; above 0 the model is overconfident.
    """
    rows = []
    for family, variants in families(study).items():
        for v in variants:
            found = []
            for _, arrays in trained(study, v.name):
                if "labels" in arrays and np.isfinite(arrays.get("logits", np.nan)).all():
                    probabilities = stats.softmax(arrays["logits"])
                    labels = arrays["labels"].astype(np.int64)
                    excess = probabilities.max(1).mean() - (probabilities.argmax(1) == labels).mean()
                    error = stats.expected_calibration_error(probabilities, labels, draws=BOOTSTRAP)
                    found.append((error.error.value, error.error.low, error.error.high, error.plain, error.expected,
                                  float(excess), error.error.n))  # fmt: skip
            if found:
                value, low, high, plain, expected = np.mean([f[:5] for f in found], axis=0)
                excess = stats.mean_interval([f[5] for f in found])
                rows.append((v.name, family, value, low, high, plain, expected,
                             excess.value, excess.low, excess.high, len(found), found[0][6]))  # fmt: skip
    return pd.DataFrame(rows, columns=list(CALIBRATION))


def trained(study: Study, variant: str) -> Iterator[tuple[Record, dict[str, np.ndarray]]]:
    """Yields the accuracy records of a variant with their arrays, by seed."""
    for record in sorted(study.of("accuracy", variant), key=lambda r: r.seed or 0):
        yield record, study.arrays(record)


def _by_class(study: Study, variant: str, classes: int) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Seed → accuracy and number of test images of each class."""
    found = {}
    for record, arrays in trained(study, variant):
        if record.seed is not None and "labels" in arrays and "predictions" in arrays:
            labels = arrays["labels"].astype(np.int64)
            right = arrays["predictions"] == labels
            counts = np.bincount(labels, minlength=classes)
            found[record.seed] = (stats.per_class_accuracy(right, labels, classes), counts)
    return found
