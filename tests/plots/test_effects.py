"""Figures of a grid: no words over words, a mark an effect, shapes and lines that speak without colour."""

import itertools

import numpy as np
import pandas as pd
import pytest

from tests.support.drawn_words import words
from vitbench import plots
from vitbench.plots.effects import REFERENCE

LABELS = {"accuracy": "Accuracy (points)", "latency_ms": "Latency (ratio, left is faster)"}
KINDS = ("better", "worse", "none", "exploratory", "not_measured")
LONG = "a_setting_of_the_model_with_a_long_name"


def effects(axes, levels):
    """One effect of every kind in turn; the first level of each axis is its reference."""
    rng = np.random.default_rng(axes * levels)
    rows = []
    for axis, level, metric in itertools.product(range(axes), range(levels), LABELS):
        name, kind = LONG if axis == 1 else f"axis_{axis}", KINDS[(axis + level) % 5]
        value = rng.normal(0, 0.05) if metric == "accuracy" else np.exp(rng.normal(0, 0.1 * levels))
        bounds = [value * 0.9, value * 1.1] if kind != "not_measured" else [np.nan, np.nan]
        if level == 0:
            value, bounds, kind = float(metric != "accuracy"), [np.nan, np.nan], REFERENCE
        if kind == "not_measured":
            value = np.nan
        if metric != "accuracy":
            kind = {"better": "faster", "worse": "slower"}.get(kind, kind)
        rows.append((name, f"{name}={level}", metric, value, *sorted(bounds), kind))
    return pd.DataFrame(rows, columns=["axis", "setting", "metric", "value", "low", "high", "kind"])


def means(axes, levels, *, value=lambda a, b: 0.8 + 0.01 * a * b):
    rows = []
    for one, other in itertools.combinations(range(axes), 2):
        for a, b in itertools.product(range(levels + 2), range(levels)):
            mean = value(a, b)
            rows.append((f"axis_{one}", f"{2**a}", LONG if other == 1 else f"axis_{other}", f"level{b}", mean,
                         mean - 0.02, mean + 0.02, 6))  # fmt: skip
    return pd.DataFrame(rows, columns=["axis", "level", "axis_2", "level_2", "value", "low", "high", "n"])


def figures(axes, levels):
    yield "main", plots.main_effects(effects(axes, levels), labels=LABELS)
    yield "one metric", plots.main_effects(effects(axes, levels), labels={"accuracy": LABELS["accuracy"]})
    yield "pairs", plots.interactions(means(axes, min(levels, 6)), label="Test accuracy (%)", metric="accuracy")
    yield "latency", plots.interactions(means(2, min(levels, 6)), label="Latency relative to x", metric="latency_ms")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("axes", "levels"), [(2, 2), (4, 6), pytest.param(6, 12, marks=pytest.mark.nightly("reports"))]
)
def test_no_words_stand_over_words_or_outside(axes, levels):
    for name, figure in figures(axes, levels):
        boxes = words(figure)
        over = [(a, b) for (a, one), (b, two) in itertools.combinations(boxes, 2) if one.overlaps(two)]
        assert not over, f"{name}: {over}"
        edge = figure.bbox.padded(1)
        outside = [text for text, box in boxes if not (edge.contains(*box.min) and edge.contains(*box.max))]
        assert not outside, f"{name}: {outside}"


def test_a_verdict_is_a_shape_and_not_only_a_colour():
    frame = effects(3, 6)
    for axes, metric in zip(plots.main_effects(frame, labels=LABELS).axes, LABELS, strict=True):
        own = frame[frame["metric"] == metric]
        marks = {shape: [line for line in axes.lines if line.get_marker() == shape] for shape in "^vo"}
        assert len(marks["^"]) == own["kind"].isin(["better", "faster"]).sum()
        assert len(marks["v"]) == own["kind"].isin(["worse", "slower"]).sum()
        hollow = own["kind"].isin(["none", "exploratory"])
        assert [line.get_markerfacecolor() for line in marks["o"]] == ["#ffffff"] * hollow.sum()
        assert sorted(float(line.get_xdata()[0]) for shape in "^v" for line in marks[shape]) == pytest.approx(
            sorted(own["value"][own["kind"].isin(["better", "faster", "worse", "slower"])])
        )


def test_lines_differ_in_marker_and_dashes_and_pass_through_the_means():
    frame = means(2, 3)
    (axes,) = plots.interactions(frame, label="x", metric="accuracy").axes
    lines = [line for line in axes.lines if len(line.get_xdata()) == 5]
    assert len({line.get_marker() for line in lines}) == len({line.get_linestyle() for line in lines}) == 3
    for line, (_, own) in zip(lines, frame.groupby("level_2", sort=False), strict=True):
        assert list(line.get_ydata()) == own["value"].tolist()


def test_what_was_never_measured_is_a_gap():
    frame = means(2, 2, value=lambda a, b: np.nan if (a, b) == (1, 1) else 0.5)
    (axes,) = plots.interactions(frame, label="x", metric="accuracy").axes
    second = [line for line in axes.lines if len(line.get_xdata()) == 4][1]
    assert np.isnan(second.get_ydata()).tolist() == [False, True, False, False]


def test_the_same_frames_give_the_same_bytes(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        for name, figure in figures(2, 2):
            plots.save(figure, tmp_path / folder / name)
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()
