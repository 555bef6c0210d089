"""Main effects and interactions of a grid: which cells count, planted effects, and words where there is none."""

import math

import numpy as np
import pandas as pd
import pytest

from tests.support.made_grid import AXES, BASE, HOLE, made_grid
from tests.support.made_records import Made
from vitbench import stats, tables
from vitbench.declare.variant import format_axes
from vitbench.tables.effects import NAMES, crossed, effects, pair_means, wide
from vitbench.tables.grid import grid_of


def study(made):
    return tables.read_study(made.folder)


def found_in(made):
    return crossed(study(made)).effects


def row(found, metric, *keys):
    """The one row of an effect: axis, level, and of an interaction axis_2, level_2."""
    rows = found[(found["metric"] == metric) & (found["axis"] == keys[0]) & (found["level"] == keys[1])]
    rows = (
        rows[rows["axis_2"].isna()]
        if len(keys) == 2
        else rows[(rows["axis_2"] == keys[2]) & (rows["level_2"] == keys[3])]
    )
    (only,) = rows.to_dict("records")
    return only


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return made_grid(tmp_path_factory.mktemp("grid"))


@pytest.fixture(scope="module")
def found(made):
    return found_in(made)


def test_planted_effects_on_accuracy(found):
    """Means over all settings of the other axes: of depth 8 half of the interaction, of no positions a third of it."""
    for keys, expected, kind in (
        (("depth", "2"), -0.05, "worse"),
        (("depth", "8"), -0.03, "worse"),
        (("embed_dim", "64"), 0.04, "better"),
        (("pos_embed", "none"), -0.12, "worse"),
        (("depth", "8", "pos_embed", "none"), -0.06, "lower"),
    ):
        own = row(found, "accuracy", *keys)
        assert own["low"] <= expected <= own["high"]
        assert (own["kind"], own["n"], own["basis"]) == (kind, 6, "complete")
    quiet = found[(found["metric"] == "accuracy") & found["axis_2"].notna()]
    assert len(quiet) == 5
    assert (quiet["kind"] == "lower").sum() == 1
    assert not quiet["kind"].isin(["higher", "better", "worse"]).any()


def test_an_effect_is_the_seeds_own_difference_of_means(made, found):
    """By hand: seed by seed the mean over the cells of one level minus that of the other, Holm over four effects."""
    own = study(made)
    cells = {v.name: v.axes for v in own.variants}
    seeds = {name: {r.seed: r.values["accuracy"] for r in own.of("accuracy", name)} for name in cells}

    def mean(axis, value, seed):
        return np.mean([seeds[name][seed] for name, axes in cells.items() if axes[axis] == value])

    units = {
        f"{axis}={level}": [mean(axis, level, s) - mean(axis, BASE[axis], s) for s in range(6)]
        for axis, levels in AXES.items()
        for level in levels
        if level != BASE[axis]
    }
    for name, comparison in stats.compare_with_holm(units, stats.ACCURACY).items():
        entry = row(found, "accuracy", *name.split("="))
        assert entry["value"] == pytest.approx(comparison.value)
        assert (entry["low"], entry["high"]) == pytest.approx((comparison.low, comparison.high))
        assert (entry["confidence"], entry["verdict"]) == (comparison.level, comparison.verdict.text)


def test_timings_are_ratios_of_geometric_means_in_blocks(found):
    for metric in ("latency_ms", "train_step_ms"):
        for keys, expected, kind in ((("depth", "8"), 2.0, "slower"), (("depth", "2"), 0.5, "faster")):
            own = row(found, metric, *keys)
            assert own["value"] == pytest.approx(expected, rel=0.01)
            assert own["low"] < own["value"] < own["high"]
            assert (own["kind"], own["n"]) == (kind, 12)
        assert row(found, metric, "pos_embed", "none")["kind"] in {"equivalent", "none"}
        pairs = found[(found["metric"] == metric) & found["axis_2"].notna()]
        assert pairs["value"].tolist() == pytest.approx([1] * 5, abs=0.01)


def test_what_is_counted_has_ratios_without_an_interval(found):
    for metric, keys, expected, how in (
        ("macs", ("embed_dim", "64"), 4.0, "counted"),
        ("params", ("depth", "2"), 0.5, "counted"),
        ("peak_memory_training_mib", ("depth", "8"), 2.0, "modelled"),
        ("peak_memory_inference_mib", ("pos_embed", "none"), 1.0, "modelled"),
        ("macs", ("depth", "8", "embed_dim", "64"), 1.0, "counted"),
    ):
        own = row(found, metric, *keys)
        assert own["value"] == expected
        assert math.isnan(own["low"])
        assert own["verdict"] == f"no interval: {how}, not measured"


def test_the_file_has_a_row_an_effect_and_names_like_the_tables(made, found):
    frame = wide(found)
    assert len(frame) == 4 + 5
    assert frame["axis_2"].isna().tolist() == [True] * 4 + [False] * 5
    assert set(NAMES.values()) <= set(frame.columns)
    for name in ("accuracy_delta", "latency_ratio"):
        assert {name, *(f"{name}_{end}" for end in ("low", "high", "level", "verdict"))} <= set(frame.columns)
        assert {name, f"{name}_low", f"{name}_verdict"} <= set(tables.table(study(made)).columns)
    first = frame.iloc[0]
    assert (first["axis"], first["level"], first["against"]) == ("depth", "2", "4")
    assert first["macs_ratio"] == 0.5
    assert first["accuracy_delta"] == row(found, "accuracy", "depth", "2")["value"]


def test_means_of_two_axes_lie_in_the_unit_of_accuracy(made):
    grid = grid_of(study(made))
    means = pair_means(grid, "accuracy", [{0: 2, 2: 1}, {0: 1, 2: 0}])
    assert means["level"].tolist() == ["8", "4"]
    assert means["value"].tolist() == pytest.approx([0.66, 0.82], abs=0.01)
    assert ((means["low"] < means["value"]) & (means["value"] < means["high"])).all()
    noisy = pair_means(grid_of(study(made_grid(made.folder / "noisy", noise=0.3, seeds=2))), "accuracy", [{0: 0, 1: 0}])
    assert (noisy["low"] >= 0).all()
    assert (noisy["high"] <= 1).all()


def test_a_missing_cell_is_fitted_where_three_axes_allow_it(tmp_path):
    found = found_in(made_grid(tmp_path, without=(HOLE,)))
    own = row(found, "accuracy", "depth", "8", "pos_embed", "none")
    assert own["basis"] == "pairwise"
    assert own["low"] <= -0.06 <= own["high"]
    assert (
        row(found, "macs", "depth", "8")["verdict"]
        == "no interval: counted, not measured; fitted, since cells are missing"
    )
    assert set(found["kind"]) & {"not_measured"} == set()


def test_of_two_axes_a_missing_cell_leaves_effects_open_and_a_missing_level_is_named(tmp_path):
    axes = {"depth": [2, 4, 8], "embed_dim": [32, 64], "pos_embed": ["learned"]}
    one = found_in(made_grid(tmp_path / "one", axes=axes, without=("depth=8,embed_dim=64,pos_embed=learned",)))
    assert row(one, "accuracy", "depth", "8")["verdict"] == "not estimable: the cells that are missing leave it open"
    assert row(one, "accuracy", "depth", "2")["kind"] == "worse"
    assert row(one, "accuracy", "depth", "2", "embed_dim", "64")["n"] == 6
    lacking = ("depth=8,embed_dim=32,pos_embed=learned", "depth=8,embed_dim=64,pos_embed=learned")
    both = found_in(made_grid(tmp_path / "both", axes=axes, without=lacking))
    assert row(both, "latency_ms", "depth", "8")["verdict"] == "not estimable: no cell with depth=8 was measured"
    assert row(both, "latency_ms", "depth", "2")["kind"] == "faster"


def test_of_a_random_part_main_effects_are_fitted_without_interactions_where_those_are_open(tmp_path):
    axes = {"depth": [2, 4, 8], "embed_dim": [32, 64], "pos_embed": ["learned"]}
    hole = ("depth=8,embed_dim=64,pos_embed=learned",)
    found = found_in(made_grid(tmp_path, axes=axes, without=hole, design="random"))
    assert (row(found, "accuracy", "depth", "8")["basis"], row(found, "accuracy", "depth", "2")["basis"]) == (
        "additive", "pairwise",
    )  # fmt: skip
    assert row(found, "accuracy", "depth", "8", "embed_dim", "64")["basis"] == "none"
    for metric in ("accuracy", "macs"):
        verdicts = {level: row(found, metric, "depth", level)["verdict"] for level in ("2", "8")}
        assert verdicts["8"].endswith("(fitted without interactions)")
        assert "without interactions" not in verdicts["2"]


def test_few_seeds_decide_nothing_and_a_failed_control_withholds(tmp_path):
    found = found_in(made_grid(tmp_path / "few", seeds=5))
    assert set(found["kind"][found["metric"] == "accuracy"]) == {"exploratory"}
    found = found_in(made_grid(tmp_path / "bad", control=1.1))
    assert set(found["kind"][found["metric"] == "latency_ms"]) == {"invalid"}


def test_what_was_not_run_says_so(tmp_path):
    names = [f"depth={d},embed_dim={e}" for d in (2, 4) for e in (32, 64)]
    cells = [dict(part.split("=") for part in name.split(",")) for name in names]
    variants = [{"name": n, "axes": {k: int(v) for k, v in c.items()}} for n, c in zip(names, cells, strict=True)]
    made = Made(tmp_path, variants, axes={"depth": [2, 4], "embed_dim": [32, 64]}, plan={"design": "grid"})
    found = found_in(made)
    assert row(found, "accuracy", "depth", "4")["verdict"] == "not measured: no cell has an accuracy yet"
    assert row(found, "latency_ms", "depth", "4")["verdict"].startswith(
        "not measured: no cell was timed in one session"
    )
    assert row(found, "macs", "depth", "4")["verdict"] == "not estimable: nothing has been counted yet"
    assert wide(found)["accuracy_delta"].isna().all()


def test_seeds_on_another_version_are_left_out(made, tmp_path):
    """A cell's seed that was trained under another torch is no partner of the others; five seeds are left."""
    other = made_grid(tmp_path, axes={"depth": [2, 4], "embed_dim": [32, 64], "pos_embed": ["learned"]}, without=())
    other.on(packages={"torch": "2.12.0", "numpy": "2.4.6"})
    other.accuracy("depth=2,embed_dim=32,pos_embed=learned", [0.9], curves=False)
    found = found_in(other)
    assert set(found["n"][found["metric"] == "accuracy"]) == {5}
    assert set(found["kind"][found["metric"] == "accuracy"]) == {"exploratory"}


def test_only_a_grid_of_two_axes_has_effects(made, tmp_path):
    assert crossed(study(made)) is not None
    assert crossed(study(made_grid(tmp_path / "one", design="one_at_a_time"))) is None
    single = {"depth": [2, 4], "embed_dim": [32], "pos_embed": ["learned"]}
    assert crossed(study(made_grid(tmp_path / "single", axes=single))) is None


def test_rows_beside_the_grid_are_no_cells(tmp_path):
    """References, rows with names of their own, and a baseline whose value no axis names."""
    axes = {"depth": [2, 8], "mlp_ratio": [2.0, 4.0]}
    variants = [
        {"name": "baseline", "axes": {"depth": 4, "mlp_ratio": 4}},
        *(
            {"name": format_axes(c), "axes": c}
            for d in (2, 8)
            for m in (2.0, 4.0)
            for c in [{"depth": d, "mlp_ratio": m}]
        ),
        {"name": "tiny", "axes": {"depth": 2, "mlp_ratio": 2.0}},
        {"name": "resnet18", "axes": {}, "family": "ResNet", "is_reference": True},
    ]
    grid = grid_of(study(Made(tmp_path, variants, axes=axes, plan={"design": "grid"})))
    assert grid.names == [v["name"] for v in variants[1:5]]
    assert [(axis.name, axis.levels, axis.reference) for axis in grid.axes] == [
        ("depth", ["2", "8"], 0), ("mlp_ratio", ["2", "4"], 1),
    ]  # fmt: skip


def test_sizes_and_truths_are_levels_too(tmp_path):
    axes = {"patch_size": [[2, 2], [4, 4]], "residual": [True, False]}
    cells = [{"patch_size": p, "residual": r} for p in axes["patch_size"] for r in axes["residual"]]
    names = ["baseline", *(format_axes({**c, "patch_size": tuple(c["patch_size"])}) for c in cells[1:])]
    variants = [{"name": n, "axes": c} for n, c in zip(names, cells, strict=True)]
    grid = grid_of(study(Made(tmp_path, variants, axes=axes, plan={"design": "grid"})))
    assert [axis.levels for axis in grid.axes] == [["2x2", "4x4"], ["True", "False"]]
    assert len(grid.names) == 4
    assert isinstance(effects(grid), pd.DataFrame)
