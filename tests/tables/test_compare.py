import numpy as np
import pytest

from tests.support.made_records import Made, pos_embed
from vitbench import tables

PAIR = [{"name": "a"}, {"name": "b"}]


def verdicts(folder, metric):
    compared = tables.comparisons(tables.read_study(folder))
    own = compared[compared["metric"] == metric]
    return dict(zip(own["variant"], own["kind"], strict=True))


def test_planted_effects_are_found_and_nothing_else(tmp_path):
    pos_embed(tmp_path)
    accuracy, latency = verdicts(tmp_path, "accuracy"), verdicts(tmp_path, "latency_ms")
    assert accuracy["pos_embed=none"] == "worse"
    assert {accuracy[f"pos_embed={w}"] for w in ("sincos2d", "relative", "rope")} <= {"none", "equivalent"}
    assert latency["pos_embed=rope"] == latency["pos_embed=relative"] == "slower"
    assert {latency[f"pos_embed={w}"] for w in ("none", "sincos2d")} == {"equivalent"}


def test_a_failed_control_withholds_every_latency_verdict(tmp_path):
    pos_embed(tmp_path, control=1.1)
    assert set(verdicts(tmp_path, "latency_ms").values()) == {"invalid"}
    assert "worse" in verdicts(tmp_path, "accuracy").values()
    assert set(tables.load(tmp_path)["latency_ratio_verdict"][1:]) == {"INVALID: A/A control failed"}


@pytest.mark.parametrize("seeds", [1, 2, 5])
def test_fewer_than_six_seeds_are_exploratory(tmp_path, seeds):
    pos_embed(tmp_path, seeds=seeds)
    assert set(verdicts(tmp_path, "accuracy").values()) == {"exploratory"}


def test_only_seeds_that_both_have_are_paired(tmp_path):
    made = Made(tmp_path, PAIR)
    made.accuracy("a", [0.5, 0.6, 0.7], curves=False)
    made.accuracy("b", [0.6, 0.7], curves=False)
    study = tables.read_study(tmp_path)
    assert tables.paired_units(study, "accuracy", "b", "a") == pytest.approx([0.1, 0.1])
    assert tables.table(study)["accuracy"].tolist() == pytest.approx([0.6, 0.65])


def test_a_session_without_control_gives_no_verdict(tmp_path):
    made = Made(tmp_path, PAIR)
    for name in ("a", "b"):
        made.append("latency", name, session="s", samples={"wall": {"unit": "s", "values": np.full((12, 12), 0.01)}})
    verdict = tables.load(tmp_path)["latency_ratio_verdict"][1]
    assert verdict == "not measured: the session has no A/A control"
    assert tables.noise_floor(tables.read_study(tmp_path)) is None


def test_the_latest_session_that_covers_every_variant_decides(tmp_path):
    made = Made(tmp_path, [*PAIR, {"name": "c"}])
    made.timing({"a": 1e-3, "b": 2e-3, "c": 3e-3}, session="all, first")
    made.timing({"a": 1e-3, "b": 4e-3, "c": 3e-3}, session="all, second")
    made.timing({"a": 1e-3, "b": 8e-3}, session="two, last")
    table = tables.load(tmp_path).set_index("variant")
    assert table.loc["b", "latency_ms"] == pytest.approx(4, rel=0.05)
    assert table.loc["b", "latency_ratio"] == pytest.approx(4, rel=0.05)


def test_without_such_a_session_each_variant_takes_its_latest_with_the_baseline(tmp_path):
    made = Made(tmp_path, [*PAIR, {"name": "c"}])
    made.timing({"a": 1e-3, "c": 3e-3}, session="first")
    made.timing({"a": 5e-3, "b": 10e-3}, session="second")
    table = tables.load(tmp_path).set_index("variant")
    assert table["latency_ms"].tolist() == pytest.approx([5, 10, 3], rel=0.05)
    assert table["latency_ratio"].tolist()[1:] == pytest.approx([2, 3], rel=0.05)  # never 3 ms against 5 ms


def test_one_measurement_under_two_names_is_one_hypothesis(tmp_path):
    """Rows that differ in their training images share a latency: it is tested once, and every row has its verdict."""
    shared = {"type": "ViTConfig", "name": "shared"}
    names = ("a", "b", "b,data.fraction=0.5", "b,data.fraction=0.1")
    made = Made(tmp_path, [{"name": name, **({"config": shared} if name != "a" else {})} for name in names])
    made.timing({name: 1e-3 if name == "a" else 1.1e-3 for name in names})
    found = tables.comparisons(tables.read_study(tmp_path))
    latency = found[found["metric"] == "latency_ms"]
    assert latency["level"].tolist() == [0.95] * 3  # not 1 - .05 / 3
    assert set(latency["kind"]) == {"slower"}
    assert latency["value"].is_monotonic_increasing
    assert latency["value"].is_monotonic_decreasing
