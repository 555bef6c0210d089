"""What every figure must hold: no words over words, the same bytes twice, every seed drawn, failed rows named."""

import itertools

import numpy as np
import pandas as pd
import pytest

from tests.support.drawn_words import LONG, words
from vitbench import plots

nightly = pytest.mark.nightly("reports")


def made(count, *, clustered=False):
    """A table, seeds, curves and comparisons of so many variants, two families, long names, one failed, one skipped."""
    rng = np.random.default_rng(count)
    names = [f"{LONG},depth={i}" if i % 4 == 1 else f"variant_{i}" for i in range(count)]
    spread = 0.002 if clustered else 0.1
    mean = 0.9 + spread * rng.uniform(-1, 1, count)
    latency = 5.0 + (0.01 if clustered else 4) * rng.uniform(-1, 1, count)
    table = pd.DataFrame({
        "variant": names, "family": ["ViT" if i % 3 else "ResNet" for i in range(count)], "status": "ok",
        "accuracy": mean, "accuracy_low": mean - 0.01, "accuracy_high": mean + 0.01,
        "latency_ms": latency, "latency_ms_low": latency * 0.97, "latency_ms_high": latency * 1.03,
        "macs": pd.array([3_450_000 if clustered else int(10 ** rng.uniform(6, 8)) for _ in names], dtype="Int64"),
    })  # fmt: skip
    numbers = [c for c in table.columns if c.startswith(("accuracy", "latency"))]
    table.loc[count - 1, numbers] = np.nan
    table.loc[count - 1, "status"] = "oom"
    table.loc[count - 2, numbers] = np.nan
    table.loc[count - 2, "status"] = "skipped"
    seeds = pd.DataFrame(
        [(n, s, m + 0.01 * rng.normal()) for n, m in zip(names[:-2], mean, strict=False) for s in range(6)],
        columns=["variant", "seed", "accuracy"],
    )
    curves = pd.DataFrame(
        [
            (n, s, e, m * (1 - 0.8**e))
            for n, m in zip(names[:-2], mean, strict=False)
            for s in range(3)
            for e in range(1, 9)
        ],
        columns=["variant", "seed", "epoch", "val_accuracy"],
    )
    ratio = latency[1:-2] / latency[0]
    compared = pd.DataFrame({"variant": names[1:-2], "value": ratio, "low": ratio * 0.98, "high": ratio * 1.02})
    compared["kind"] = ["slower", "faster", "none", "equivalent", "invalid"] * 20 if len(ratio) > 99 else "slower"
    return table, seeds, curves, compared


def looks(names):
    """Distances of 12 blocks of 3 heads, two seeds, and similarities of grids of several sizes."""
    rng = np.random.default_rng(3)
    block, head, seed = np.indices((12, 3, 2)).reshape(3, -1)
    one = pd.DataFrame({"block": block + 1, "head": head + 1, "seed": seed, "uniform_px": 90.0})
    distances = pd.concat([one.assign(variant=n, distance_px=rng.uniform(4, 120, len(one))) for n in names])
    tiles = []
    for number, name in enumerate(names):
        rows, columns = [(2, 2), (14, 14), (7, 3), (32, 32), (1, 9)][number % 5]
        down, across = (np.linspace(0, n - 1, min(n, 7)).round().astype(int) for n in (rows, columns))
        at = np.stack(np.meshgrid(down, across, range(rows), range(columns), indexing="ij")).reshape(4, -1)
        apart = np.hypot(at[0] - at[2], at[1] - at[3])
        places = dict(zip(("row", "column", "other_row", "other_column"), at + 1, strict=True))
        tiles.append(pd.DataFrame({"variant": name, **places, "similarity": 1 - apart / (1 + apart.max())}))
    return distances, pd.concat(tiles)


def figures(count, **rest):
    table, seeds, curves, compared = made(count, **rest)
    names, baseline = list(table["variant"]), table["variant"][0]
    yield "accuracy", plots.accuracy(table, seeds, baseline=baseline, chance=0.1)
    yield "latency", plots.tradeoff(table, "latency_ms", label="Latency (ms)", baseline=baseline)
    yield "macs", plots.tradeoff(table, "macs", label="MACs per image", baseline=baseline)
    yield "curves", plots.learning_curves(curves, variants=names[:-2], baseline=baseline)
    yield "ratios", plots.latency_ratios(compared, variants=names, baseline=baseline, noise=(0.99, 1.01))
    some = names[:9]
    distances, similarities = looks(some)
    yield "distance", plots.attention_distance(distances, variants=some, baseline=baseline)
    yield "similarity", plots.position_similarity(similarities, variants=some)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "clustered"),
    [(4, False), (7, True), pytest.param(12, False, marks=nightly), pytest.param(20, True, marks=nightly)],
)
def test_no_words_stand_over_words_or_outside(count, clustered):
    for name, figure in figures(count, clustered=clustered):
        boxes = words(figure)
        over = [(a, b) for (a, one), (b, two) in itertools.combinations(boxes, 2) if one.overlaps(two)]
        assert not over, f"{name}: {over}"
        outside = [text for text, box in boxes if not figure.bbox.padded(1).contains(*box.min)]
        assert not outside, f"{name}: {outside}"


@pytest.mark.slow
def test_the_same_frames_give_the_same_bytes(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        for name, figure in figures(5):
            plots.save(figure, tmp_path / folder / name)
    files = sorted((tmp_path / "one").iterdir())
    assert len(files) == 14
    for file in files:
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()
        assert b"<dc:date>" not in file.read_bytes()


def test_every_seed_is_a_dot_and_a_row_without_numbers_says_why():
    table, seeds, *_ = made(6)
    figure = plots.accuracy(table, seeds, baseline=table["variant"][0])
    (dots,) = figure.axes[0].collections
    assert len(dots.get_offsets()) == len(seeds)
    assert sorted(float(x) for x, _ in dots.get_offsets()) == pytest.approx(sorted(seeds["accuracy"]))
    assert {"skipped", "out of memory"} <= {text for text, _ in words(figure)}


def test_every_point_bears_its_name():
    table, *_ = made(12)
    figure = plots.tradeoff(table, "macs", label="MACs", baseline=table["variant"][0])
    texts = {text.replace("\n", "") for text, _ in words(figure)}
    assert {f"variant_{i}" for i in range(10) if i % 4 != 1} <= texts


def test_every_head_is_a_dot():
    distances, _ = looks(["a", "b"])
    figure = plots.attention_distance(distances, variants=["a", "b"], baseline="a")
    for axes, name in zip(figure.axes, ("a", "b"), strict=True):
        (dots,) = axes.collections
        own = distances[distances["variant"] == name]
        assert sorted(dots.get_offsets().tolist()) == sorted(own[["block", "distance_px"]].to_numpy().tolist())
        assert 90 in [line.get_ydata()[0] for line in axes.lines]  # uniform attention


def test_every_similarity_stands_in_its_tile():
    """Tile (i, j), cell (k, m), a tenth of the way in: the value of that row of the frame, in whatever order."""
    names = [f"v{i}" for i in range(5)]
    _, similarities = looks(names)
    figure = plots.position_similarity(similarities.sample(frac=1, random_state=0), variants=names)
    for axes, name in zip(figure.axes, names, strict=False):
        own = similarities[similarities["variant"] == name]
        picture = axes.images[0].get_array()
        right, low = (dict(zip([int(t.get_text()) for t in labels], at, strict=True)) for labels, at in (
            (axes.get_xticklabels(), axes.get_xticks()), (axes.get_yticklabels(), axes.get_yticks())))  # fmt: skip
        rows, columns = own["other_row"].max(), own["other_column"].max()
        for r in own.sample(40, random_state=1, replace=True).to_dict("records"):
            down = low[r["row"]] - 0.5 + 4 * (r["other_row"] - (rows + 1) / 2)
            across = right[r["column"]] - 0.5 + 4 * (r["other_column"] - (columns + 1) / 2)
            assert picture[round(down), round(across)] == r["similarity"]
    assert {image.get_clim() for axes in figure.axes[:5] for image in axes.images} == {
        (similarities.similarity.min(), 1)
    }


def test_hostile_names_are_drawn_as_they_are(tmp_path):
    table, seeds, *_ = made(4)
    names = {table["variant"][0]: "$lr_{x$<script>", table["variant"][1]: "中文 --> & \n x"}
    table, seeds = table.replace({"variant": names}), seeds.replace({"variant": names})
    svg, _ = plots.save(plots.accuracy(table, seeds, baseline="$lr_{x$<script>"), tmp_path / "hostile")
    assert "<script" not in svg.read_text(encoding="utf-8")


def test_wide_ratios_get_a_logarithmic_axis():
    _, _, _, compared = made(6)
    compared.loc[0, ["value", "low", "high"]] = [12, 11, 13]
    figure = plots.latency_ratios(compared, variants=list(compared["variant"]), baseline="b", noise=None)
    assert figure.axes[0].get_xscale() == "log"


def test_one_variant_alone_can_be_drawn():
    table, seeds, curves, compared = made(3)
    name = table["variant"][0]
    plots.accuracy(table[:1], seeds, baseline=name)
    plots.tradeoff(table[:1], "latency_ms", label="ms", baseline=name)
    plots.learning_curves(curves, variants=[name], baseline=name)
    distances, similarities = looks([name])
    plots.attention_distance(distances, variants=[name], baseline=name)
    plots.position_similarity(similarities, variants=[name])
    plots.latency_ratios(compared[:0], variants=[name], baseline=name, noise=None)
