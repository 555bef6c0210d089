"""The roofline figure: every name stands once, on nothing else, and the roofs are where they were measured."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection

from vitbench import plots

MACHINES = pd.DataFrame(
    [("float32, 1 thread", 1.1e11, 1.10e10), ("bfloat16, 1 thread", 8.1e11, 1.12e10)],
    columns=["machine", "flop_per_s", "bytes_per_s"],
)


def points(count):
    rng = np.random.default_rng(count)
    intensity = np.exp(rng.normal(2, 0.5, count))
    return pd.DataFrame(
        {
            "variant": [f"patch_size={number}" for number in range(count)],
            "family": ["ViT", "ResNet"] * (count // 2) + ["ViT"] * (count % 2),
            "intensity": intensity,
            "intensity_at_most": 8 * intensity,
            "achieved": np.minimum(9e10, 0.9e10 * intensity) * rng.uniform(0.1, 1, count),
            "bound": ["launch", "compute", "bandwidth"][:count] + ["compute"] * (count - 3),
        }
    )


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 3, 12])
def test_every_word_can_be_read(count):
    shown = points(count)
    figure = plots.roofs(shown, MACHINES)
    (axes,) = figure.axes
    figure.draw_without_rendering()
    texts = [text for text in axes.texts if text.get_text()]
    words = [" ".join(text.get_text().split()) for text in texts]
    assert sorted(word for word in words if word.startswith("patch")) == sorted(shown["variant"])
    assert [word for word in words if "thread" in word] == [
        "float32, 1 thread: 110 GFLOP/s, 11.0 GB/s",
        "bfloat16, 1 thread: 810 GFLOP/s, 11.2 GB/s",
    ]
    boxes = [text.get_window_extent() for text in texts]
    assert not [pair for pair in itertools.combinations(boxes, 2) if pair[0].overlaps(pair[1])]
    inside = axes.get_window_extent().padded(12)
    assert all(
        inside.x0 <= box.x0 and box.x1 <= inside.x1 and inside.y0 <= box.y0 and box.y1 <= inside.y1 for box in boxes
    )


def test_the_roofs_bend_at_the_ridge():
    (axes,) = plots.roofs(points(3), MACHINES).axes
    roofs = [collection for collection in axes.collections if isinstance(collection, LineCollection)]
    for roof, machine in zip(roofs, MACHINES.to_dict("records"), strict=True):
        x, y = roof.get_segments()[0].T
        assert y == pytest.approx(np.minimum(machine["flop_per_s"], x * machine["bytes_per_s"]))
        assert x[0] < machine["flop_per_s"] / machine["bytes_per_s"] < x[-1]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
