import json

import pytest

from tests.support.made_records import SETTINGS, Made, pos_embed
from vitbench import tables
from vitbench.utils.errors import UserError

PAIR = [{"name": "a", "axes": {"depth": 1}}, {"name": "b", "axes": {"depth": 2}}]


def test_the_latest_plan_decides_the_variants(tmp_path):
    Made(tmp_path, [*PAIR, {"name": "c"}]).accuracy("c", [0.5], curves=False)
    Made(tmp_path, PAIR)
    assert tables.load(tmp_path)["variant"].tolist() == ["a", "b"]


@pytest.mark.parametrize("settings", [{"device": "cuda"}, {"device": "cpu", "batch_size": 64}])
def test_records_of_other_settings_do_not_count(tmp_path, settings):
    made = Made(tmp_path, PAIR)
    wall = {"wall": {"unit": "s", "values": [[0.01] * 12] * 3}}
    made.append("latency", "a", session="s", settings=settings, samples=wall)
    made.append("accuracy", "a", seed=0, settings={"device": "cuda"}, values={"accuracy": 0.5})
    table = tables.load(tmp_path)
    assert table[["latency_ms", "accuracy"]].isna().all(axis=None)


def test_a_setting_that_is_an_axis_may_differ(tmp_path):
    made = Made(
        tmp_path,
        [{"name": "a"}, {"name": "b", "axes": {"measure.batch_size": 32}}],
        axes={"measure.batch_size": [8, 32]},
    )
    made.timing({"a": 1e-3, "b": 2e-3})
    table = tables.load(tmp_path)
    assert table["batch_size"].tolist() == [8, 32]
    assert table["latency_ms"].notna().all()


def test_a_record_of_another_config_does_not_count(tmp_path):
    made = Made(tmp_path, PAIR)
    made.append("cost", "a", config={"type": "ViTConfig", "name": "an older a"}, values={"params": 1})
    assert tables.load(tmp_path)["params"].isna().all()


def test_of_several_tries_the_one_that_succeeded_counts(tmp_path):
    made = Made(tmp_path, PAIR)
    made.fail("accuracy", "a", "timeout", "ended after 5 s", seed=0)
    made.accuracy("a", [0.7], curves=False)
    assert tables.load(tmp_path).loc[0, ["status", "accuracy"]].tolist() == ["ok", 0.7]


def test_folders_of_one_ablation_merge(tmp_path):
    one, two = Made(tmp_path / "one", PAIR), Made(tmp_path / "two", [*PAIR, {"name": "c", "axes": {"depth": 3}}])
    one.accuracy("a", [0.5, 0.6], curves=False)
    two.accuracy("a", [0.9, 0.9, 0.7])  # seeds 0 and 1 have the ids of the first folder's: those stand
    two.accuracy("c", [0.8])
    study = tables.read_study(tmp_path / "one", tmp_path / "two")
    assert [v.name for v in study.variants] == ["a", "b", "c"]
    seeds = tables.accuracy_seeds(study)
    assert seeds["accuracy"].tolist() == [0.5, 0.6, 0.7, 0.8]
    assert set(tables.learning_curves(study)["variant"]) == {"a", "c"}


def test_folders_that_do_not_belong_together_are_refused(tmp_path):
    Made(tmp_path / "one", PAIR)
    Made(tmp_path / "two", PAIR, settings={"train": {**SETTINGS["train"], "epochs": 40}})
    with pytest.raises(UserError, match=r"one and .*two cannot be merged: train.epochs is 30 in the one and 40"):
        tables.read_study(tmp_path / "one", tmp_path / "two")
    Made(tmp_path / "three", PAIR, ablation="depth")
    with pytest.raises(UserError, match=r"is of 'pos_embed' and .* of 'depth'"):
        tables.read_study(tmp_path / "one", tmp_path / "three")


def test_nothing_there_is_said_in_one_sentence(tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        tables.load(tmp_path / "nowhere")
    with pytest.raises(UserError, match="no results folder was named"):
        tables.read_study()
    (tmp_path / "records.jsonl").write_text("")
    with pytest.raises(UserError, match="holds no records yet: run"):
        tables.load(tmp_path)


def test_environments_are_kept_by_hash(tmp_path):
    pos_embed(tmp_path, seeds=1)
    entry = json.loads((tmp_path / "environments.jsonl").read_text())
    assert tables.read_study(tmp_path).environments == {entry["hash"]: entry["body"]}
