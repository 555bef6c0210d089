"""The plan: what is recorded is not run again, what differs is refused by name. No process is started here."""

import dataclasses
from collections import Counter
from pathlib import Path

import pytest

from vitbench.declare import quantities
from vitbench.declare.ablation import Ablation
from vitbench.declare.claim import Claim
from vitbench.declare.measure import MeasureConfig
from vitbench.declare.serialize import as_dict
from vitbench.declare.train import TrainConfig
from vitbench.declare.vit import ViTConfig
from vitbench.records.record import Record
from vitbench.run import environment
from vitbench.run.planning.plan import check_settings, make_plan, session_size
from vitbench.run.planning.trial import Trial
from vitbench.run.planning.trials import Preflight
from vitbench.run.store.plan_record import plan_record, skip_records
from vitbench.utils.errors import UserError

DATA = {"name": "digits", "version": "1", "img_size": 8, "in_chans": 1, "num_classes": 10, "num_train": 1077}
PREFLIGHT = Preflight(device="cpu", data=DATA, torch={})
CODE = environment.code()
TINY = ViTConfig(img_size=8, patch_size=4, in_chans=1, num_classes=10, embed_dim=16, depth=1, num_heads=2)
ABLATION = Ablation(
    question="Which patch?",
    baseline=TINY,
    axes={"patch_size": (2, 3, 4)},
    claims=(Claim("small beats large", metric="accuracy", better=2, than=4, source="us"),),
    train=TrainConfig(epochs=1),
)


def planned(ablation=ABLATION, records=(), seeds=2, **changes):
    return make_plan(ablation, PREFLIGHT, name="patch", seeds=seeds, records=records, **changes)


def records_of(trial, status="ok", **changes):
    rows = []
    for variant in trial.variants:
        name = trial.id(variant) if status == "ok" else trial.failure_id(variant)
        session = trial.session if status == "ok" else None
        about = {"kind": trial.kind, "session": session, "status": status, "seed": trial.seed, "code": CODE}
        for row in trial.rows(variant):
            found = {"id": name, "variant": row.name, "axes": dict(row.axes), "config": as_dict(row.model)}
            settings = {**trial.about(row), **changes.get("settings", {})}
            rows.append(Record(ablation="patch", **about, **found, **(changes | {"settings": settings})))
    return rows


def all_records(plan):
    return [record for trial in plan.trials for record in records_of(trial)]


def test_everything_is_planned_once_and_in_order():
    plan = planned()
    sessions = {"latency": 1, "train_step": 1, "throughput": 1}
    assert plan.counts == {"cost": 2, "memory": 2, "ceiling": 1, **sessions, "accuracy": 4}
    kinds = [trial.kind for trial in plan.trials]
    assert kinds == sorted(kinds, key=quantities.kinds().index)
    assert [t.seed for t in plan.trials if t.kind == "accuracy"] == [0, 0, 1, 1]
    assert [v.name for v in plan.variants if v.model is None] == ["patch_size=3"]
    assert all(v.model is not None for trial in plan.trials for v in trial.variants)
    ids = [trial.id(v) for trial in plan.trials for v in trial.variants]
    assert len(set(ids)) == len(ids)


def test_what_is_recorded_is_not_run_again():
    plan = planned()
    records = all_records(plan)
    again = planned(records=records)
    assert len(again.trials) == 0
    assert len(again.reused) == len(plan.trials)
    for missing in plan.trials:
        kept = [r for r in records if r.id not in {missing.id(v) for v in missing.variants}]
        (only,) = planned(records=kept).trials
        assert (only.kind, only.seed, only.variants) == (missing.kind, missing.seed, missing.variants)


def test_more_seeds_and_values_extend_a_folder():
    records = all_records(planned())
    more = planned(records=records, seeds=3)
    assert more.counts == {"accuracy": 2}
    assert {t.seed for t in more.trials} == {2}
    wider = planned(dataclasses.replace(ABLATION, axes={"patch_size": (2, 3, 4, 8)}), records)
    assert wider.counts == {"cost": 1, "memory": 1, "latency": 1, "train_step": 1, "throughput": 1, "accuracy": 2}
    assert all(len(t.variants) == 3 for t in wider.trials if t.alone)


def test_a_failed_variant_is_left_out_of_the_session():
    plan = planned()
    latency = next(t for t in plan.trials if t.kind == "latency")
    bad = latency.variants[1]
    failure = records_of(dataclasses.replace(latency, variants=(bad,)), "failed")
    again = planned(records=failure)
    assert [r.variant for r in again.failures] == [bad.name]
    assert [v.name for t in again.trials if t.kind == "latency" for v in t.variants] == [latency.variants[0].name]
    assert [len(t.variants) for t in again.trials if t.kind == "throughput"] == [2]


def test_without_its_baseline_there_is_no_session():
    latency = next(t for t in planned().trials if t.kind == "latency")
    again = planned(records=records_of(latency, "failed"))
    assert "latency" not in again.counts
    assert len(again.failures) == 2


@pytest.mark.parametrize(("then", "now", "again"), [(5.0, 5.0, 0), (5.0, 4.0, 0), (5.0, 6.0, 1), (5.0, None, 1)])
def test_a_time_out_is_repeated_only_with_more_time(then, now, again):
    trial = next(t for t in planned().trials if t.kind == "cost")
    records = records_of(trial, "timeout", settings={"timeout_s": then})
    plan = planned(records=records, timeout_s=now, kinds=("cost",))
    assert (len(plan.trials), len(plan.failures)) == (1 + again, 1 - again)


def test_a_session_is_its_set_of_variants():
    latency = next(t for t in planned().trials if t.kind == "latency")
    one, other = latency.variants
    swapped = dataclasses.replace(latency, variants=(other, one))
    assert latency.session != swapped.session  # another baseline
    assert latency.session != dataclasses.replace(latency, variants=(one,)).session
    assert latency.session != dataclasses.replace(latency, kind="train_step").session
    renamed = dataclasses.replace(latency, variants=(one, dataclasses.replace(other, name="x")))
    assert latency.session == renamed.session
    assert latency.id(one) != latency.id(one, control=True)
    assert session_size(latency) == 3
    assert [session_size(dataclasses.replace(latency, kind=kind)) for kind in ("latency", "train_step")] == [3, 3]


def test_settings_reach_the_ids_of_the_kinds_they_matter_to():
    def ids(ablation):
        return {t.kind: t.id(t.variants[0]) for t in planned(ablation).trials}

    before = ids(ABLATION)
    trained = ids(dataclasses.replace(ABLATION, train=TrainConfig(epochs=2)))
    batched = ids(dataclasses.replace(ABLATION, measure=MeasureConfig(batch_size=16)))
    blocked = ids(dataclasses.replace(ABLATION, measure=MeasureConfig(blocks=13)))
    changed = [{kind for kind in before if before[kind] != after[kind]} for after in (trained, batched, blocked)]
    assert changed == [
        {"accuracy"},
        {"memory", "latency", "train_step", "throughput"},
        {"latency", "train_step"},
    ]
    asked = ids(dataclasses.replace(ABLATION, question="And now?"))
    assert asked == before


def test_a_folder_with_other_settings_is_refused_and_each_difference_named():
    opening = record_of(planned())
    check_settings(planned(), [opening], Path("results/patch"))
    changed = dataclasses.replace(
        ABLATION, train=TrainConfig(epochs=5, lr=0.1), baseline=dataclasses.replace(TINY, depth=2)
    )
    with pytest.raises(UserError) as refusal:
        check_settings(planned(changed), [opening], Path("results/patch"))
    assert str(refusal.value) == (
        "results/patch holds records made with baseline.depth=1, you asked for 2; train.epochs=1, you asked for 5; "
        "train.lr=0.002, you asked for 0.1: type --results OTHER, or --fresh to move that folder aside and start over"
    )
    check_settings(planned(changed), [], Path("results/patch"))


def test_a_baseline_that_does_not_fit_the_data_is_refused():
    with pytest.raises(UserError, match="digits has img_size=8, in_chans=1, num_classes=10, but the baseline has"):
        planned(Ablation(question="?", baseline=ViTConfig()))


def record_of(plan):
    return plan_record(plan, command="c", summary="s", conditions={"load": [1.0]}, ablation=plan.name, started="now")


def test_the_plan_record_says_what_a_report_needs():
    record = record_of(planned())
    assert Record.from_line(record.line().encode()).values.keys() == record.values.keys()
    assert record.values["baseline"] == "patch_size=4"
    assert record.values["seeds"] == 2
    assert [(v["name"], v["is_baseline"], v["family"]) for v in record.values["variants"]] == [
        ("patch_size=4", True, "ViT"),
        ("patch_size=2", False, "ViT"),
        ("patch_size=3", False, "ViT"),
    ]
    assert "does not divide" in record.values["variants"][2]["reason"]
    (claim,) = record.values["claims"]
    assert (claim["better"], claim["than"], claim["along"]) == ("patch_size=2", "patch_size=4", None)
    busy = dataclasses.replace(planned())
    assert plan_record(busy, command="c", summary="s", conditions={}, ablation="patch").id == record.id
    assert plan_record(busy, command="d", summary="s", conditions={}, ablation="patch").id != record.id


def test_a_skip_is_recorded_once():
    (skip,) = skip_records(planned(), [], ablation="patch")
    assert (skip.kind, skip.status, skip.variant) == ("skip", "skipped", "patch_size=3")
    assert skip_records(planned(), [skip], ablation="patch") == []


def test_labels():
    labels = [trial.label for trial in planned(seeds=1).trials]
    assert labels[0] == "cost patch_size=4"
    assert labels[4] == "ceilings of float32"
    assert labels[5:8] == ["latency of 2 variants", "train step of 2 variants", "throughput of 2 variants"]
    assert labels[-1] == "accuracy patch_size=2 seed 0"
    (variant, *_) = planned().variants
    assert Trial(kind="latency", variants=(variant,), device="cpu").label == "latency of 1 variant"


AXES = dataclasses.replace(
    ABLATION, axes={"depth": (1, 2), "measure.compile": (False, True), "train.lr": (0.002, 0.1)}, claims=()
)


def test_variants_that_share_a_measurement_are_planned_once():
    """A ``measure.*`` axis changes no accuracy, a ``train.*`` axis no cost and no time."""
    plan = planned(AXES)
    rows = ["baseline", "depth=2", "measure.compile=True", "train.lr=0.1"]
    assert [v.name for v in plan.variants] == rows
    sessions = {"latency": 1, "train_step": 1, "throughput": 1}
    assert plan.counts == {"cost": 2, "memory": 2, "ceiling": 1, **sessions, "accuracy": 6}
    timed = {t.kind: [v.name for v in t.variants] for t in plan.trials if t.alone}
    assert timed == dict.fromkeys(("latency", "train_step", "throughput"), rows[:3])
    for trial in plan.trials:
        spoken_for = [row.name for v in trial.variants for row in trial.rows(v)]
        assert len(set(spoken_for)) == len(spoken_for)
    for kind, per in {"cost": 1, "latency": 1, "accuracy": 2}.items():
        served = [row.name for t in plan.trials if t.kind == kind for v in t.variants for row in t.rows(v)]
        assert sorted(served) == sorted(rows * per)
    assert session_size(next(t for t in plan.trials if t.kind == "latency")) == 5
    again = planned(AXES, all_records(plan))
    assert (len(again.trials), again.copies) == (0, ())


def test_ceilings_are_measured_once_a_setting_whatever_the_model():
    axes = {"depth": (1, 2), "measure.dtype": ("float32", "bfloat16"), "measure.batch_size": (8, 16)}
    plan = planned(dataclasses.replace(ABLATION, axes=axes, claims=()), kinds=("ceiling",))
    assert [trial.label for trial in plan.trials] == ["ceilings of float32", "ceilings of bfloat16"]
    rows = [[row.name for v in trial.variants for row in trial.rows(v)] for trial in plan.trials]
    assert rows == [["baseline", "depth=2", "measure.batch_size=16"], ["measure.dtype=bfloat16"]]
    (variant,) = plan.trials[0].variants
    assert plan.trials[0].settings(variant) == {"device": "cpu", "dtype": "float32", "threads": 1, "windows": 6}
    short = dataclasses.replace(ABLATION, measure=MeasureConfig(blocks=2))
    assert [t.settings(t.variants[0])["windows"] for t in planned(short, kinds=("ceiling",)).trials] == [2]


def test_a_variant_that_shares_a_recorded_measurement_gets_a_copy():
    """A second axis renames the rows: what was measured of the first stands."""
    records = all_records(planned())
    wider = planned(dataclasses.replace(ABLATION, axes={"patch_size": (2, 4), "train.lr": (0.002, 0.1)}), records)
    assert wider.counts == {"accuracy": 2}  # the new learning rate's
    copies = Counter((r.kind, r.variant) for r in wider.copies)
    once = ("cost", "memory", "ceiling", "latency", "train_step", "throughput")
    assert copies == {
        **{(kind, name): 1 for kind in once for name in ("baseline", "train.lr=0.1")},
        ("accuracy", "baseline"): 2,
    }
    known = {r.id for r in records}
    assert all(r.id in known for r in wider.copies)
    assert {r.axes["train.lr"] for r in wider.copies} == {0.002, 0.1}
    assert planned(wider.ablation, [*records, *wider.copies]).copies == ()
