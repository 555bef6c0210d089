"""Figures of families: no words over words, everything drawn that the frame holds, the same bytes twice."""

import itertools

import numpy as np
import pandas as pd
import pytest

from tests.support.drawn_words import LONG, words
from vitbench import plots

COSTS = {
    "latency_ms": "Latency (ms)",
    "macs": "MACs per image",
    "peak_memory_training_mib": "Peak memory, training (MiB)",
    "params": "Parameters",
    "train_seconds": "Training time (s)",
}
LABELS = ["same place", "shifts of whole patches", "any shift, however small it may be"]


def names(count):
    return [f"{LONG},depth={i}" if i % 4 == 1 else f"variant_{i}" for i in range(count)]


def family(i):
    return "ViT" if i % 3 else "ResNet"


def front(count, *, clustered=False):
    rng = np.random.default_rng(count)
    rows = []
    for number, cost in enumerate(COSTS):
        for i, name in enumerate(names(count)):
            accuracy = 0.9 + (0.002 if clustered else 0.1) * rng.uniform(-1, 1)
            value = (5 + 0.01 * rng.uniform()) if clustered else 10 ** (number + rng.uniform(0, 2))
            bounds = (0.97 * value, 1.03 * value) if cost == "latency_ms" else (np.nan, np.nan)
            rows.append((cost, name, family(i), value, *bounds, accuracy, accuracy - 0.01, accuracy + 0.01, i / count))
    columns = ["cost", "variant", "family", "value", "low", "high", "accuracy", "accuracy_low", "accuracy_high"]
    return pd.DataFrame(rows, columns=[*columns, "probability"])


def curves(count):
    rng = np.random.default_rng(count)
    return pd.concat([
        pd.DataFrame({"variant": name, "family": family(i), "epoch": range(1, 9), "steps": np.arange(1, 9) * 330,
                      "seconds": np.arange(1, 9) * rng.uniform(1, 9),
                      "val_accuracy": 1 - rng.uniform(0.5, 1) ** np.arange(1, 9)})
        for i, name in enumerate(names(count))
    ])  # fmt: skip


def tuned(count):
    rng = np.random.default_rng(count)
    frame = pd.DataFrame({"variant": names(count), "family": [family(i) for i in range(count)]})
    for name in ("same", "tuned"):
        frame[name] = rng.uniform(0.9, 0.99, count)
        frame[f"{name}_low"], frame[f"{name}_high"] = frame[name] - 0.01, frame[name] + 0.01
    return frame


def sizes(count):
    points = pd.DataFrame(
        [(name, family(i), n, seed, 1 - (i + 2) * n**-0.5 / 9 + 0.01 * seed) for i, name in enumerate(names(count))
         for n in (54, 108, 215, 539, 1077) for seed in range(3)],
        columns=["curve", "family", "images", "seed", "accuracy"],
    )  # fmt: skip
    lines = points[points["curve"] == "variant_0"].groupby(["curve", "images"], as_index=False)["accuracy"].mean()
    return points, lines.assign(low=lines["accuracy"] - 0.02, high=lines["accuracy"] + 0.02)


def reach(count):
    rng = np.random.default_rng(0)
    distances = pd.concat([
        pd.DataFrame({"variant": name, "block": np.repeat(range(1, 5), 3), "distance_px": rng.uniform(2, 30, 12)})
        for name in names(count)
    ])  # fmt: skip
    fields = pd.DataFrame({"variant": "resnet", "depth": np.arange(1, 8) / 7, "field_px": 2 ** np.arange(1, 8)})
    return distances, fields


def classes(count):
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"name": [f"class number {i}" for i in range(count)], "value": rng.uniform(-0.1, 0.1, count)})
    frame["low"], frame["high"] = frame["value"] - 0.05, frame["value"] + 0.05
    return frame.assign(kind=(["better", "worse", "none"] * count)[:count])


def calibration(count):
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"variant": names(count), "family": [family(i) for i in range(count)]})
    frame["error"] = rng.uniform(0, 0.1, count)
    return frame.assign(low=frame["error"] / 2, high=frame["error"] + 0.05, plain=frame["error"] + 0.02)


def groups(count):
    rng = np.random.default_rng(3)
    rows = [(n, g, v, max(v - 0.1, 0), min(v + 0.1, 1)) for n in names(count) for g in LABELS for v in [rng.uniform()]]
    return pd.DataFrame(rows, columns=["variant", "group", "value", "low", "high"])


def figures(count, **rest):
    some = names(count)
    yield "fronts", plots.fronts(front(count, **rest), labels=COSTS, baseline=some[0])
    yield "one front", plots.fronts(front(count, **rest), labels={"macs": "MACs"}, baseline=some[0])
    yield "progress", plots.progress(curves(count), leaders=some[:2], chance=0.1)
    yield "tuned", plots.tuned(tuned(count))
    yield "sizes", plots.data_sizes(*sizes(min(count, 6)), chance=0.1)
    yield "reach", plots.reach(*reach(min(count, 6)), image_px=32)
    yield "classes", plots.differences(classes(count), first=some[0], second=some[1])
    yield "calibration", plots.calibration(calibration(count))
    yield "groups", plots.groups(groups(count), order=LABELS, chance=0.1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "clustered"), [(7, True), pytest.param(12, False, marks=pytest.mark.nightly("reports"))]
)
def test_no_words_stand_over_words_or_outside(count, clustered):
    for name, figure in figures(count, clustered=clustered):
        boxes = words(figure)
        over = [(a, b) for (a, one), (b, two) in itertools.combinations(boxes, 2) if one.overlaps(two)]
        assert not over, f"{name}: {over}"
        edge = figure.bbox.padded(1)
        outside = [text for text, box in boxes if not (edge.contains(*box.min) and edge.contains(*box.max))]
        assert not outside, f"{name}: {outside}"


@pytest.mark.nightly("reports")
def test_the_same_frames_give_the_same_bytes(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        for name, figure in figures(2):
            plots.save(figure, tmp_path / folder / name)
    files = sorted((tmp_path / "one").iterdir())
    assert len(files) == 18
    for file in files:
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()


@pytest.mark.slow
def test_a_front_s_fill_is_its_probability_and_its_names_are_the_likely_ones():
    frame = front(8)
    figure = plots.fronts(frame, labels=COSTS, baseline="variant_0")
    axes = figure.axes[1]
    own = frame[frame["cost"] == "macs"]
    fills = [line.get_alpha() for line in axes.lines if line.get_marker() in "os" and line.get_alpha() not in {None, 0}]
    assert sorted(fills) == pytest.approx(sorted(own["probability"][own["probability"] > 0]))
    texts = {text.replace("\n", "") for text, _ in words(figure)}
    assert {"variant_4", "variant_6", "variant_7"} <= texts
    assert not {"variant_0", "variant_2", "variant_3"} & texts


def test_every_seed_of_a_data_curve_is_a_dot_and_nothing_lies_beyond_the_sizes():
    points, lines = sizes(2)
    axes = plots.data_sizes(points, lines).axes[0]
    dots = [line for line in axes.lines if line.get_marker() == "o" and line.get_alpha() == 0.5]
    assert sum(len(line.get_xdata()) for line in dots) == len(points)
    assert max(max(line.get_xdata()) for line in axes.lines) == 1077
    assert axes.get_xscale() == "log"


def test_only_verdicts_are_filled():
    axes = plots.differences(classes(6), first="a", second="b").axes[0]
    fills = [line.get_markerfacecolor() for line in axes.lines if line.get_marker() == "o"]
    assert fills.count("#ffffff") == 2
