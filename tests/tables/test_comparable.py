"""What is subtracted was measured under like conditions; what was not is shown, and said why it is not compared."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.made_records import ENVIRONMENT, MIB, SETTINGS, Made, claim
from vitbench import report, tables
from vitbench.declare.quantities import BUILT_IN
from vitbench.records.comparability import describe, mismatches
from vitbench.records.reader import read
from vitbench.records.record import Record
from vitbench.report.__main__ import main
from vitbench.report.claims import judge
from vitbench.tables.comparable import cell_mismatch_reason
from vitbench.tables.matched_pairs import matched
from vitbench.utils.errors import UserError

PAIR = [{"name": "a"}, {"name": "b"}]
TORCH = {"packages": {"torch": "2.14.0", "numpy": "2.4.6"}}
BODIES = {
    "here": ENVIRONMENT,
    "other host": ENVIRONMENT | {"host": "bench-2"},
    "other cpu": ENVIRONMENT | {"cpu": {"model": "Another CPU"}},
    "two threads": ENVIRONMENT | {"threads": 2},
    "other torch": ENVIRONMENT | TORCH,
    "other fvcore": ENVIRONMENT | {"packages": ENVIRONMENT["packages"] | {"fvcore": "9"}},
    "timm too": ENVIRONMENT | {"packages": ENVIRONMENT["packages"] | {"timm": "1.0"}},
}


def record(kind, environment="here", **changes):
    code = {"components": {"models": 1, "data": 1, "train": 1, "measure": 2}}
    settings = {"device": "cpu", "dtype": "float32", "batch_size": 8, "threads": 1}
    base = {"id": "x", "ablation": "p", "kind": kind, "variant": "a", "settings": settings, "code": code}
    return Record(**{**base, "environment": environment, **changes})


# MEASUREMENT.md, Provenance: latency: host, device, dtype, batch, threads, versions; memory: device type, dtype, batch,
# versions; accuracy: device type, dtype, versions; costs: nothing.
EVERYTHING = {"latency", "train_step", "throughput", "memory", "accuracy", "cost"}
TIMED = {"latency", "train_step", "throughput"}


def unlike(first, second, environments, **options):
    return mismatches(BUILT_IN[first.kind], first, second, environments, **options)


@pytest.mark.parametrize("kind", sorted(EVERYTHING))
@pytest.mark.parametrize(
    ("environment", "kinds"),
    [
        ("here", set()),
        ("other host", TIMED),
        ("other cpu", TIMED),
        ("two threads", TIMED),
        ("other torch", EVERYTHING - {"cost"}),
        ("other fvcore", set()),
        ("timm too", set()),  # what only one names is no difference
        ("never described", EVERYTHING - {"cost"}),
    ],
)
def test_the_environment_that_must_match_is_the_protocols(kind, environment, kinds):
    assert bool(unlike(record(kind), record(kind, environment), BODIES)) == (kind in kinds)
    assert bool(unlike(record(kind, environment), record(kind), BODIES)) == (kind in kinds)


@pytest.mark.parametrize("kind", sorted(EVERYTHING))
@pytest.mark.parametrize(
    ("setting", "kinds"),
    [
        ({"device": "cuda"}, EVERYTHING - {"cost"}),
        ({"dtype": "bfloat16"}, TIMED | {"memory"}),
        ({"batch_size": 64}, TIMED | {"memory"}),
        ({"threads": 2}, TIMED | {"accuracy"}),
        ({"train": {"precision": "bf16"}}, {"accuracy"}),
        ({"blocks": 27}, set()),  # how long was measured, not what
    ],
)
def test_the_settings_that_must_match_are_the_protocols(kind, setting, kinds):
    base = record(kind).settings | {"train": {"precision": "fp32"}, "blocks": 12}
    one, two = (record(kind, settings=settings) for settings in (base, base | setting))
    assert bool(unlike(one, two, BODIES)) == (kind in kinds)
    assert unlike(one, two, BODIES, settings=False) == []  # of one plan: a declared axis, or nothing


@pytest.mark.parametrize(
    ("kind", "component", "apart"),
    [
        ("latency", "measure", True), ("cost", "measure", True), ("accuracy", "measure", False),
        ("accuracy", "train", True), ("latency", "train", False), ("memory", "models", True),
    ],
)  # fmt: skip
def test_the_method_must_match_where_the_number_rests_on_it(kind, component, apart):
    code = {"components": {**record(kind).code["components"], component: 7}}
    found = unlike(record(kind), record(kind, code=code), BODIES)
    assert bool(found) == apart
    assert not apart or f"version of {component} differs" in describe(found)


def test_counts_of_no_common_counter_and_other_placements_are_unlike():
    one, two, both = (record("cost", values={"methods": dict.fromkeys(m, 1)}) for m in ("a", "b", "ab"))
    assert describe(unlike(one, two, BODIES)) == "counting method differs (a against b)"
    assert unlike(one, both, BODIES) == []
    own, shared = (record("latency", values={"placement": p}) for p in ("own", "shared"))
    assert describe(unlike(own, shared, BODIES)) == "placement differs (own against shared)"


@given(st.sets(st.sampled_from(["host", "python", "threads", "packages", "cpu", "torch"]), min_size=1))
def test_an_environment_that_says_less_is_no_error(lacking):
    less = {key: value for key, value in ENVIRONMENT.items() if key not in lacking}
    environments = {"here": ENVIRONMENT, "less": less}
    for kind in EVERYTHING:
        unlike(record(kind), record(kind, "less"), environments)  # never raises


def test_of_many_differences_the_first_are_named():
    body = ENVIRONMENT | {"host": "z", "threads": 9, "python": "3.14", "cpu": {"model": "Z"}}
    said = describe(unlike(record("latency"), record("latency", "z"), {"here": ENVIRONMENT, "z": body}))
    assert said.startswith("host differs (bench-1 against z), device differs (Some CPU @ 2.5 GHz against Z)")
    assert said.endswith("and 1 more")


# --- one folder that went on elsewhere -----------------------------------------------------------------------------


def resumed(folder, **changes):
    """Three seeds of ``a`` and two of ``b``; then, after the changes, ``b``'s third, and three more of both."""
    made = Made(folder, PAIR)
    made.accuracy("a", [0.50, 0.51, 0.52], curves=False)
    made.accuracy("b", [0.60, 0.61], curves=False)
    made.on(**changes)
    made.accuracy("b", [0.99], curves=False, first=2)
    made.accuracy("a", [0.53, 0.54, 0.55], curves=False, first=3)
    made.accuracy("b", [0.63, 0.64, 0.65], curves=False, first=3)
    return tables.read_study(folder)


def test_seeds_are_paired_within_like_environments_only(tmp_path):
    study = resumed(tmp_path, **TORCH)
    assert tables.paired_units(study, "accuracy", "b", "a") == pytest.approx([0.1] * 5)  # without seed 2
    assert tables.accuracy_seeds(study)["accuracy"].max() == 0.99  # it is shown all the same
    report.write(tmp_path)
    written = (tmp_path / "report.md").read_text()
    assert "Left out of the accuracy comparisons: seed 2 of `b` (not compared: torch differs (2.14.0 against" in written


def test_an_accuracy_may_come_from_another_host(tmp_path):
    study = resumed(tmp_path, host="bench-2")
    assert tables.paired_units(study, "accuracy", "b", "a") == pytest.approx([0.1, 0.1, 0.47, 0.1, 0.1, 0.1])
    report.write(tmp_path)
    assert "Left out" not in (tmp_path / "report.md").read_text()


def test_without_any_like_seed_there_is_no_difference(tmp_path):
    made = Made(tmp_path, PAIR, claims=[claim("b wins", "accuracy", "nobody", better="b", than="a")])
    made.accuracy("a", [0.5] * 6, curves=False)
    made.components = {"models": 1, "train": 2}
    made.accuracy("b", [0.9] * 6, curves=False)
    study = tables.read_study(tmp_path)
    (row,) = tables.comparisons(study).query("metric == 'accuracy'").to_dict("records")
    assert row["verdict"].startswith("not measured") is False
    assert row["n"] == 6  # components that only one names are no difference
    made.components = {"models": 2}
    made.accuracy("b", [0.9] * 6, curves=False)
    study = tables.read_study(tmp_path)
    (row,) = tables.comparisons(study).query("metric == 'accuracy'").to_dict("records")
    assert row["kind"] == "not_measured"
    assert row["verdict"] == "not compared: version of models differs (2 against 1)"
    assert np.isnan(row["value"])
    (judged,) = judge(study, tables.table(study))
    assert judged.outcome == "not resolved"
    assert "not compared: version of models differs" in "".join(judged.because)


def test_one_sessions_id_on_two_machines_is_two_sessions(tmp_path):
    made = Made(tmp_path, PAIR)
    made.timing({"a": 1e-3})
    made.on(host="bench-2")
    made.timing({"a": 1e-3, "b": 2e-3})
    study = tables.read_study(tmp_path)
    assert [set(session) for session in study.sessions("latency")] == [{"a", "b"}]
    rows = [r for r in study.records if not (r.kind == "latency" and r.variant == "a")]
    first = next(r for r in read(tmp_path) if r.kind == "latency" and r.variant == "a")
    study = dataclasses.replace(study, records=[first, *rows])  # what copying records between folders could do
    with pytest.raises(tables.UnpairedError, match=r"host differs \(bench-2 against bench-1\)"):
        tables.paired_units(study, "latency_ms", "b", "a")
    (row,) = tables.comparisons(study).query("metric == 'latency_ms'").to_dict("records")
    assert row["verdict"] == "not compared: host differs (bench-2 against bench-1)"


def test_memory_of_another_torch_is_shown_and_not_judged(tmp_path):
    claims = [claim("b takes less", "peak_memory_training_mib", "nobody", better="b", than="a")]
    made = Made(tmp_path, PAIR, claims=claims)
    made.memory("a", inference=2 * MIB, training=9 * MIB)
    made.on(**TORCH)
    made.memory("b", inference=MIB, training=8 * MIB)
    study = tables.read_study(tmp_path)
    table = tables.table(study)
    assert table["peak_memory_training_mib"].tolist() == [9, 8]
    assert "torch differs" in cell_mismatch_reason(study, "peak_memory_training_mib", "b", "a")
    (judged,) = judge(study, table)
    assert (judged.outcome, judged.because[-1].partition(" (")[0]) == ("not resolved", ": not compared: torch differs")
    report.write(tmp_path)
    assert "Memory of `b` is not comparable with the baseline's: torch differs" in (tmp_path / "report.md").read_text()


def test_models_timed_on_two_hosts_are_no_pair_of_equal_latency(tmp_path):
    families = [{"name": "a"}, {"name": "r", "family": "ResNet"}]
    made = Made(tmp_path, families)
    for name in ("a", "r"):
        made.cost(name, params=1000, macs=1000)
        made.accuracy(name, [0.5] * 6, curves=False)
    made.timing({"a": 1e-3}, session="first")
    made.on(host="bench-2")
    made.timing({"a": 1e-3}, session="second")
    study = tables.read_study(tmp_path)
    assert set(matched(study, tables.table(study))["cost"]) == {"params", "macs"}


def test_a_declared_axis_is_exempt(tmp_path):
    made = Made(
        tmp_path,
        [{"name": "a"}, {"name": "b", "axes": {"measure.batch_size": 32}}],
        axes={"measure.batch_size": [8, 32]},
    )
    made.timing({"a": 1e-3, "b": 2e-3})
    made.accuracy("a", [0.5] * 6, curves=False)
    made.accuracy("b", [0.6] * 6, curves=False)
    assert set(tables.comparisons(tables.read_study(tmp_path))["kind"]) == {"slower", "untested"}


# --- several folders ----------------------------------------------------------------------------------------------


def two(tmp_path, *, settings=None, **changes):
    """One ablation in two folders, the second one's under other settings or on a changed machine."""
    for name, factor in (("one", 1.0), ("two", 3.0)):
        folder = tmp_path / name / "pos_embed"
        made = Made(folder, PAIR, settings=settings if name == "two" else None)
        if name == "two":
            made.on(**changes)
        made.timing({"a": factor * 1e-3, "b": factor * 1.2e-3})
        made.accuracy("a", [0.50, 0.525] * 3, curves=False)
        made.accuracy("b", [0.60, 0.65] * 3, curves=False)
    return tmp_path / "one" / "pos_embed", tmp_path / "two" / "pos_embed"


def test_mixed_folders_stand_side_by_side_and_nothing_is_subtracted(tmp_path):
    one, other = two(tmp_path, host="bench-2")
    study = tables.read_study(one, other, mixed=True)
    assert [v.name for v in study.variants] == ["a", "b", "a @ two", "b @ two"]
    table = tables.table(study).set_index("variant")
    assert table["latency_ms"].tolist() == pytest.approx([1, 1.2, 3, 3.6], rel=0.05)
    for name in ("a @ two", "b @ two"):
        assert table.loc[name, "latency_ratio_verdict"] == "not compared: host differs (bench-2 against bench-1)"
        assert np.isnan(table.loc[name, "latency_ratio"])
    assert table.loc["b", "latency_ratio"] == pytest.approx(1.2, rel=0.05)
    assert table.loc["b @ two", "accuracy_delta"] == pytest.approx(0.1125)  # an accuracy asks for no host
    report.write(one, other, mixed=True)
    written = (one / "report.md").read_text()
    assert "Rows marked @ two come from another folder and are shown for reference only: host differs (" in written
    assert "python -m vitbench.report DIR DIR --allow-mixed" in written
    assert tables.noise_floor(study) is not None


def test_mixed_settings_stand_side_by_side(tmp_path):
    settings = {"measure": SETTINGS["measure"] | {"batch_size": 64}}
    one, other = two(tmp_path, settings=settings)
    with pytest.raises(UserError, match=r"measure.batch_size is 8 in the one and 64 in the other.*--allow-mixed"):
        tables.read_study(one, other)
    table = tables.table(tables.read_study(one, other, mixed=True)).set_index("variant")
    assert table.loc["b @ two", "latency_ratio_verdict"] == "not compared: batch_size differs (64 against 8)"


def test_a_recipe_that_differs_is_not_compared_either(tmp_path):
    for name, epochs in (("one", 30), ("two", 40)):
        train = SETTINGS["train"] | {"epochs": epochs}
        made = Made(tmp_path / name, PAIR, settings={"train": train})
        for variant in ("a", "b"):
            made.accuracy(variant, [0.5, 0.6] * 3, curves=False, settings={"train": train})
    study = tables.read_study(tmp_path / "one", tmp_path / "two", mixed=True)
    assert "train.epochs differs (40 against 30). No differences are computed" in study.remarks[0]
    verdicts = tables.table(study).set_index("variant")["accuracy_delta_verdict"]
    assert verdicts["b @ two"] == "not compared: train.epochs differs (40 against 30)"
    assert verdicts["b"].startswith("no difference in each of 6 seeds")


def test_folders_that_are_alike_merge_whatever_is_allowed(tmp_path):
    one, other = two(tmp_path)
    study = tables.read_study(one, other, mixed=True)
    assert [v.name for v in study.variants] == ["a", "b"]
    assert list(study.remarks) == []


def test_what_a_merge_hides_is_said(tmp_path):
    one, other = two(tmp_path, host="bench-2")
    report.write(one, other)
    written = (one / "report.md").read_text()
    assert "The merged folders differ: host differs (bench-2 against bench-1); 14 of its mea" in written
    assert "--allow-mixed" in written
    table = tables.load(one, other)
    assert table["latency_ms"].tolist() == pytest.approx([1, 1.2], rel=0.05)


def test_another_ablation_is_refused_even_then(tmp_path):
    one, _ = two(tmp_path)
    Made(tmp_path / "x", PAIR, ablation="depth")
    with pytest.raises(UserError, match="only one ablation's folders merge"):
        tables.read_study(one, tmp_path / "x", mixed=True)


@pytest.mark.slow
def test_the_command_mixes_only_when_it_is_told_to(tmp_path, capsys):
    one, other = map(str, two(tmp_path, settings={"measure": SETTINGS["measure"] | {"batch_size": 64}}))
    assert main([one, other]) == 2
    assert "or add --allow-mixed to see them side by side" in capsys.readouterr().err
    assert main([one, other, "--allow-mixed"]) == 0
    assert main([one, other, "--allow-mixed", "--verify"]) == 0
    assert main([one, "--verify"]) == 1
