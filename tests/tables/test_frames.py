"""A table worked out by hand, from records written by hand."""

import csv

import numpy as np
import pandas as pd
import pytest

from tests.support.made_records import MIB, Made, pos_embed, vit_vs_resnet
from vitbench import tables
from vitbench.tables.columns import COLUMNS

BASE, OTHER = "depth=4", "depth=8"
RATIOS = [0.09, 0.11] * 6  # log-ratio of each block: mean .1, sd .01 * sqrt(12 / 11)
DIFFERENCES = [0.02, 0.03] * 3  # of each seed: mean .025, sd .005 * sqrt(6 / 5)


def hand_made(folder):
    """Two variants whose every number is known: 10 ms a call, and exp(.1) times that."""
    made = Made(
        folder, [{"name": BASE, "axes": {"depth": 4}}, {"name": OTHER, "axes": {"depth": 8}}], axes={"depth": [4, 8]}
    )
    for name, factor in ((BASE, 1), (OTHER, 2)):
        made.cost(name, params=1000 * factor, macs=50_000 * factor)
        made.memory(name, inference=3 * MIB * factor, training=10 * MIB * factor)
        made.throughput(name, [100.0 / factor, 104.0 / factor])
    made.accuracy(BASE, [0.90] * 6, curves=False)
    made.accuracy(OTHER, [0.90 + d for d in DIFFERENCES], curves=False)
    for kind, name, logs in (
        ("latency", BASE, [0.0] * 12),
        ("latency", OTHER, RATIOS),
        ("latency_control", BASE, [-0.001, 0.001] * 6),
    ):
        wall = 0.010 * np.exp(np.repeat(np.array(logs)[:, None], 12, axis=1))
        samples = {clock: {"unit": "s", "values": wall} for clock in ("wall", "cpu")}
        values = {"batch_size": 8, "looks": [], "stop_reason": "every block timed", "block_seconds": [1.0] * 12}
        made.append(kind, name, session="s", samples=samples, values=values)
    return made


def test_the_table_worked_by_hand(tmp_path):
    hand_made(tmp_path)
    table = tables.load(tmp_path).set_index("variant")
    base, other = table.loc[BASE], table.loc[OTHER]
    exact = {
        "family": "ViT", "batch_size": 8, "status": "ok", "depth": 8, "params": 2000, "macs": 100_000, "flops": 200_000,
        "activations": 1000, "peak_memory_inference_mib": 6, "peak_memory_training_mib": 20, "seeds": 6,
    }  # fmt: skip
    assert {name: other[name] for name in exact} == exact
    assert other["throughput_img_s"] == pytest.approx(np.sqrt(50 * 52))
    # t(.975; 5) = 2.570582, t(.975; 11) = 2.200985; standard errors .005 * sqrt(6/5/6) and .01 * sqrt(12/11/12)
    half = 2.570582 * 0.005 * np.sqrt(1 / 5)
    assert other["accuracy"] == pytest.approx(0.925)
    assert other["accuracy_low"] == pytest.approx(0.925 - half, abs=1e-7)
    assert other[["accuracy_delta", "accuracy_delta_low", "accuracy_delta_high"]].tolist() == pytest.approx(
        [0.025, 0.025 - half, 0.025 + half], abs=1e-7
    )
    half = 2.200985 * 0.01 * np.sqrt(1 / 11)
    assert other[["latency_ratio", "latency_ratio_low", "latency_ratio_high"]].tolist() == pytest.approx(
        np.exp([0.1, 0.1 - half, 0.1 + half]).tolist(), abs=1e-6
    )
    assert other["latency_ratio_level"] == other["accuracy_delta_level"] == pytest.approx(0.95)
    assert other["latency_ratio_verdict"] == "slower by 10.5% [9.8, 11.3]"  # exp(.0933637) and exp(.1066363)
    assert other["accuracy_delta_verdict"] == "better by 2.5 points [1.9, 3.1]"
    assert base["latency_ms"] == pytest.approx(10)
    assert base[["latency_ms_low", "latency_ms_high"]].tolist() == pytest.approx([10, 10])
    assert base["accuracy_delta_verdict"] == base["latency_ratio_verdict"] == "baseline"
    assert np.isnan(base["latency_ratio"])


def test_an_interval_of_a_fraction_ends_at_0_and_1(tmp_path):
    made = Made(tmp_path, [{"name": BASE, "axes": {"depth": 4}}], axes={"depth": [4]})
    made.accuracy(BASE, [1.0, 1.0, 0.97], curves=False)
    row = tables.load(tmp_path).set_index("variant").loc[BASE]
    assert row["accuracy"] == pytest.approx(0.99)
    assert row["accuracy_low"] == pytest.approx(0.99 - 0.0430265)  # t(.975, 2) * .0173205 / sqrt(3)
    assert row["accuracy_high"] == 1


def test_columns_stand_in_the_order_of_the_design(tmp_path):
    vit_vs_resnet(tmp_path)
    names = list(tables.load(tmp_path).columns)
    assert names == [
        "variant", "family", "batch_size", "status", "patch_size", "depth", "embed_dim", "params", "macs", "flops",
        "activations", "latency_ms", "latency_ms_low", "latency_ms_high", "throughput_img_s", "train_step_ms",
        "peak_memory_inference_mib", "peak_memory_training_mib", "accuracy", "accuracy_low", "accuracy_high", "seeds",
        "latency_ratio", "latency_ratio_low", "latency_ratio_high", "latency_ratio_level", "latency_ratio_verdict",
        "accuracy_delta", "accuracy_delta_low", "accuracy_delta_high", "accuracy_delta_level", "accuracy_delta_verdict",
        "reason",
    ]  # fmt: skip
    assert len({c.source for c in COLUMNS}) == len({c.name for c in COLUMNS}) == len(COLUMNS)


def test_failed_and_skipped_rows_stay_with_their_reason(tmp_path):
    vit_vs_resnet(tmp_path)
    table = tables.load(tmp_path).set_index("variant")
    assert len(table) == 12
    assert table.loc["patch_size=3", "status"] == "skipped"
    assert "does not divide" in table.loc["patch_size=3", "reason"]
    assert table.loc["embed_dim=256", "status"] == "oom"
    assert table.loc["embed_dim=256", "reason"] == (
        "accuracy, seeds 0, 1, 2, 3, 4, 5: killed for memory at epoch 3; latency: the forward pass took more than 2 GiB"
    )
    assert table.loc["embed_dim=256", "latency_ratio_verdict"].startswith("not measured: out of memory, the forward")
    assert table.loc["depth=8", ["status", "seeds"]].tolist() == ["diverged", 5]
    assert table.loc["depth=8", "accuracy_delta_verdict"].startswith("exploratory: 5 seeds")
    assert pd.isna(table.loc["resnet18_w16", "depth"])


def test_a_variant_that_was_not_run_has_no_status(tmp_path):
    Made(tmp_path, [{"name": "a"}, {"name": "b"}]).accuracy("a", [0.5], curves=False)
    table = tables.load(tmp_path).set_index("variant")
    assert table.loc["a", "status"] == "ok"
    assert table.loc["b", ["status", "reason"]].tolist() == [None, "not run yet"]


def test_csv_is_the_same_bytes_and_reads_back(tmp_path):
    hand_made(tmp_path)
    paths = [tmp_path / "one.csv", tmp_path / "two.csv"]
    for path in paths:
        tables.write_csv(tables.load(tmp_path), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    rows = list(csv.DictReader(paths[0].read_text().splitlines()))
    assert float(rows[1]["latency_ratio"]) == tables.load(tmp_path)["latency_ratio"][1]
    assert rows[0]["latency_ratio"] == ""
    assert rows[1]["params"] == "2000"


def test_tidy_frames(tmp_path):
    pos_embed(tmp_path)
    study = tables.read_study(tmp_path)
    seeds = tables.accuracy_seeds(study)
    assert list(seeds.columns) == ["variant", "seed", "accuracy"]
    assert len(seeds) == 5 * 6
    curves = tables.learning_curves(study)
    assert list(curves.columns) == ["variant", "seed", "epoch", "seconds", "train_loss", "val_accuracy"]
    assert len(curves) == 5 * 6 * 30
    blocks = tables.latency_blocks(study)
    assert blocks.groupby("variant").size().tolist() == [12] * 5
    mean = blocks[blocks["variant"] == "pos_embed=rope"]["latency_ms"].mean()
    assert mean == pytest.approx(tables.load(tmp_path)["latency_ms"].iloc[-1])


def test_a_lost_artifact_costs_its_curve_only(tmp_path):
    pos_embed(tmp_path)
    next((tmp_path / "artifacts").iterdir()).unlink()
    with pytest.warns(UserWarning, match="cannot be read"):
        curves = tables.learning_curves(tables.read_study(tmp_path))
    assert len(curves) == (5 * 6 - 1) * 30


def looking(folder):
    """Two ViTs that kept what they look at, the second without position vectors, and a ResNet that has nothing."""
    made = Made(folder, [{"name": "a"}, {"name": "b"}, {"name": "resnet", "family": "ResNet"}])
    for name in ("a", "b", "resnet"):
        made.accuracy(name, [0.5, 0.6], epochs=2)
    for seed in (1, 0):
        made.looks("a", seed, attention_distance=np.array([[1.0, 2.0], [3.0, 4.0]]) + seed, uniform_distance=5.0,
                   pos_similarity=np.arange(9 * 2 * 9 * 2).reshape(9, 2, 9, 2) / 1000 + seed)  # fmt: skip
    made.looks("b", 1, attention_distance=np.array([[7.0]]), uniform_distance=8.0)
    return made


def test_attention_distances(tmp_path):
    looking(tmp_path)
    frame = tables.attention_distances(tables.read_study(tmp_path))
    assert list(frame.columns) == ["variant", "seed", "block", "head", "distance_px", "uniform_px"]
    assert frame.to_numpy().tolist() == [
        ["a", 0, 1, 1, 1, 5], ["a", 0, 1, 2, 2, 5], ["a", 0, 2, 1, 3, 5], ["a", 0, 2, 2, 4, 5],
        ["a", 1, 1, 1, 2, 5], ["a", 1, 1, 2, 3, 5], ["a", 1, 2, 1, 4, 5], ["a", 1, 2, 2, 5, 5],
        ["b", 1, 1, 1, 7, 8],
    ]  # fmt: skip


def test_position_similarities_are_the_lowest_seed_s_and_of_some_tiles(tmp_path):
    looking(tmp_path)
    frame = tables.position_similarities(tables.read_study(tmp_path), tiles=3)
    assert list(frame.columns) == ["variant", "row", "column", "other_row", "other_column", "similarity"]
    assert set(frame["variant"]) == {"a"}
    assert len(frame) == 3 * 2 * 9 * 2
    assert sorted(frame["row"].unique()) == [1, 5, 9]
    whole = np.arange(9 * 2 * 9 * 2).reshape(9, 2, 9, 2) / 1000
    for row in frame.to_dict("records"):
        at = tuple(int(row[name]) - 1 for name in ("row", "column", "other_row", "other_column"))
        assert row["similarity"] == whole[at]


def test_records_from_before_have_nothing_to_look_at(tmp_path):
    study = tables.read_study(pos_embed(tmp_path).folder)
    assert tables.attention_distances(study).empty
    assert tables.position_similarities(study).empty


def test_throughput_is_of_the_latest_session(tmp_path):
    """A changed code, or one variant more, makes a new session beside the old."""
    made = hand_made(tmp_path)
    for name, rate in ((BASE, 200.0), (OTHER, 150.0)):
        made.throughput(name, [rate, rate], session="later")
    table = tables.load(tmp_path).set_index("variant")
    assert table["throughput_img_s"].to_dict() == pytest.approx({BASE: 200.0, OTHER: 150.0})
