"""Trials that train: how much data they see, what tuning chooses, who teaches whom. Real processes, tiny models."""

import dataclasses
from collections import defaultdict

import numpy as np
import pytest

from tests.support.tiny_training import CNN, TINY, TRAINED, ablation, taught
from vitbench.declare.data import DataConfig
from vitbench.declare.external import ExternalConfig
from vitbench.declare.train import TrainConfig
from vitbench.declare.tuning import FIRST_SEED, Tuning
from vitbench.records.reader import file_digest, load_arrays, read
from vitbench.records.tuning_outcome import chosen
from vitbench.run import Observer, execute, plan
from vitbench.utils.errors import UserError


def run(declared, folder, executor, *, kinds=TRAINED, watch=None):
    outcome = execute(declared, name="t", directory=folder / "r", executor=executor, kinds=kinds, watch=watch)
    found = defaultdict(list)
    for record in read(folder / "r"):
        found[record.kind].append(record)
    return outcome, found


def test_a_row_sees_as_much_of_the_data_as_it_asks_for(tmp_path, shared):
    declared = ablation(
        axes={"data.per_class": (None, 6), "data.same_steps": (False, True), "data.fraction": (1.0, 0.25)},
        combined={"few, as many steps": {"data.per_class": 6, "data.same_steps": True}},
        references={"cnn": CNN},
    )
    outcome, found = run(declared, tmp_path, shared)
    assert (outcome.failed, outcome.left) == (0, 0)
    rows = {r.variant: r for r in found["accuracy"]}
    steps = {name: r.values["steps"] for name, r in rows.items()}
    assert steps == {
        **dict.fromkeys(("baseline", "data.same_steps=True", "cnn", "cnn,data.same_steps=True"), 1077 // 32),
        **dict.fromkeys(("data.per_class=6", "cnn,data.per_class=6"), 60 // 32),
        **dict.fromkeys(("data.fraction=0.25", "cnn,data.fraction=0.25"), 8),
        "few, as many steps": 2 * 31,  # 60 images 17 times are 31 steps: one epoch is too few for 33
    }
    assert rows["few, as many steps"].values["epochs"] == 2
    assert rows["few, as many steps"].values["num_test"] == rows["baseline"].values["num_test"] == 360
    data = {"name": "digits", "version": "1", "fraction": 0.25, "per_class": None, "same_steps": False, "scale": 1.0}
    assert rows["data.fraction=0.25"].settings["data"] == data
    assert len({r.id for r in rows.values()}) == len(rows)
    (opening,) = found["plan"]
    images = {v["name"]: (v["images"], v["curve"]) for v in opening.values["variants"]}
    assert images["cnn,data.per_class=6"] == (60, "cnn")
    assert images["data.fraction=0.25"] == (269, "vit_p4_d16_l1")
    folder = tmp_path / "r" / "artifacts"
    for record in rows.values():
        assert record.digests == {name: file_digest(folder / name) for name in record.artifacts}
        assert len(record.artifacts) == 1
    assert run(declared, tmp_path, shared)[0].done == 0


def test_a_part_of_the_data_that_does_not_exist_fails_with_the_reason(tmp_path, shared):
    outcome, found = run(ablation(axes={"data.per_class": (None, 5000)}), tmp_path, shared)
    assert outcome.failed == 1
    (bad,) = (r for r in found["accuracy"] if not r.ok)
    assert "5000" in bad.reason


def test_less_data_takes_less_time(tmp_path, shared):
    def seconds(**data):
        declared = ablation(data_settings=DataConfig(**data), train=TrainConfig(epochs=100))
        return plan(declared, name="t", executor=shared, kinds=("accuracy",)).seconds

    whole = seconds()
    assert seconds(fraction=0.1) == pytest.approx(whole / 10, rel=0.1)
    assert seconds(per_class=10) == pytest.approx(whole * 100 / 1077, rel=0.1)
    assert seconds(per_class=10, same_steps=True) == whole


SLOW = TrainConfig(epochs=1, lr=1e-7)
TUNING = Tuning(tries=3, lr=(1e-2, 2e-2), weight_decay=(1e-3, 1e-2))


def test_tuning_finds_the_better_rate_without_looking_at_the_test_split(tmp_path, shared):
    declared = ablation(train=SLOW, tuning=TUNING, references={"cnn": CNN, "other": CNN}, seeds=2)
    outcome, found = run(declared, tmp_path, shared)
    assert (outcome.failed, outcome.left) == (0, 0)
    tries = found["tuning"]
    assert sorted((r.variant, r.settings["try"]) for r in tries) == [
        *(("cnn", n) for n in range(3)),
        *(("vit_p4_d16_l1", n) for n in range(3)),
    ]
    for r in tries:
        assert "accuracy" not in r.values
        assert 0 <= r.values["val_accuracy"] <= 1
        assert (r.samples, r.artifacts, r.seed) == ({}, [], FIRST_SEED)
    points = {r.settings["try"]: (r.settings["lr"], r.settings["weight_decay"]) for r in tries}
    assert points[0] == (1e-7, 0.05)
    assert all(1e-2 <= lr <= 2e-2 and 1e-3 <= decay <= 1e-2 for lr, decay in (points[1], points[2]))
    assert {(r.settings["lr"], r.settings["weight_decay"]) for r in tries} == set(points.values())  # the same for all

    winners = chosen(found["plan"][0].values, tries)
    assert winners.keys() == {"vit_p4_d16_l1", "cnn", "other"}
    assert (winners["other"], winners["other"].of) == (winners["cnn"], "cnn")
    for name, won in winners.items():
        own = [r for r in tries if r.variant == won.of]
        best = max(own, key=lambda r: r.values["val_accuracy"])
        assert (won.lr, won.val_accuracy) == (best.settings["lr"], best.values["val_accuracy"])
        assert won.number > 0
        assert won.seconds == pytest.approx(sum(r.seconds for r in own))
        mean = {}
        for recipe in ("same", "tuned"):
            rows = [r for r in found["accuracy"] if r.variant == name and r.settings["recipe"] == recipe]
            assert sorted(r.seed for r in rows) == [0, 1]
            mean[recipe] = np.mean([r.values["accuracy"] for r in rows])
            expected = (won.lr, won.weight_decay) if recipe == "tuned" else (1e-7, 0.05)
            assert {(r.settings["train"]["lr"], r.settings["train"]["weight_decay"]) for r in rows} == {expected}
        assert mean["tuned"] > mean["same"]
    again, same = run(declared, tmp_path, shared)
    assert (again.done, {kind: len(rows) for kind, rows in same.items()}) == (
        0,
        {kind: len(rows) for kind, rows in found.items()},
    )


def test_more_tries_keep_the_fewer_and_replace_the_winner(tmp_path, shared):
    declared = ablation(train=SLOW, tuning=dataclasses.replace(TUNING, tries=1))
    outcome, found = run(declared, tmp_path, shared)
    # the recipe's own values won, and what they give is known: nothing is trained twice
    assert (outcome.done, [r.settings["recipe"] for r in found["accuracy"]]) == (2, ["same", "tuned"])
    same, tuned = found["accuracy"]
    assert (same.id, same.values) == (tuned.id, tuned.values)
    more = dataclasses.replace(declared, tuning=TUNING)
    assert plan(more, name="t", directory=tmp_path / "r", executor=shared, kinds=TRAINED).counts == {
        "tuning": 2,
        "accuracy, tuned": 1,
    }
    outcome, found = run(more, tmp_path, shared)
    assert (outcome.done, len(found["tuning"])) == (3, 3)
    assert found["accuracy"][-1].settings["train"]["lr"] >= 1e-2
    none, found = run(ablation(train=SLOW), tmp_path, shared)  # without tuning the folder is as good
    assert (none.done, found["plan"][-1].values["tuning"]) == (0, None)


def test_each_variant_can_have_tries_of_its_own(tmp_path, shared):
    tuning = dataclasses.replace(TUNING, per="variant", tries=2, seeds=2)
    made = plan(ablation(axes={"depth": (1, 2)}, tuning=tuning, seeds=3), name="t", executor=shared, kinds=TRAINED)
    assert made.counts == {"accuracy": 6, "tuning": 8, "accuracy, tuned": 6}
    assert made.tuning["of"] == {"depth=1": "depth=1", "depth=2": "depth=2"}


class Notes(Observer):
    def __init__(self):
        self.texts = []

    def note(self, text):
        self.texts.append(text)


def test_a_try_that_diverges_is_a_result_and_where_all_do_nobody_won(tmp_path, shared, sweep_of):
    declared = dataclasses.replace(
        sweep_of("good", "diverges", seeds=1), tuning=Tuning(tries=2, lr=(1e-3, 2e-3), per="variant")
    )
    notes = Notes()
    outcome, found = run(declared, tmp_path, shared, watch=notes)
    tries = {(r.variant.rpartition(":")[2], r.settings["try"]): r for r in found["tuning"]}
    assert [r.status for r in tries.values()] == ["ok"] * 4
    assert [tries["diverges", n].values["diverged"] for n in range(2)] == [True, True]
    assert tries["diverges", 0].values["val_accuracy"] is None
    assert outcome.failed == 1  # the accuracy under the same recipe
    assert notes.texts == ["no try gave a result for source=faults:diverges: no tuned accuracy"]
    assert {r.variant for r in found["accuracy"] if r.settings["recipe"] == "tuned"} == {"source=faults:good"}
    assert run(declared, tmp_path, shared)[0].done == 0


def test_a_teacher_is_trained_first_under_the_same_seed(tmp_path, shared):
    outcome, found = run(taught(), tmp_path, shared)
    assert (outcome.done, outcome.failed) == (6, 0)
    order = [(r.variant, r.seed) for r in found["accuracy"]]
    rows = {(r.variant, r.seed): r for r in found["accuracy"]}
    for seed in range(2):
        pupil, teacher = rows["soft", seed], rows["cnn", seed]
        assert pupil.settings["teacher"] == teacher.id
        assert order.index(("soft", seed)) > order.index(("cnn", seed))
        assert (tmp_path / "r" / "weights" / f"{teacher.id}.safetensors").is_file()
        assert pupil.values["train_loss"] != rows["baseline", seed].values["train_loss"]
    assert len(list((tmp_path / "r" / "weights").iterdir())) == 2
    assert run(taught(), tmp_path, shared)[0].done == 0


def test_a_pupil_changes_with_its_teacher(tmp_path, shared):
    def ids(declared):
        made = plan(declared, name="t", executor=shared, kinds=("accuracy",))
        return {t.variants[0].name: t.id(t.variants[0]) for t in made.trials if t.seed == 0}

    before, after = ids(taught()), ids(taught(references={"cnn": dataclasses.replace(CNN, width=8)}))
    assert {name for name in before if before[name] != after[name]} == {"cnn", "soft"}


def test_a_teacher_whose_model_is_gone_is_trained_again_and_recorded_once(tmp_path, shared):
    _, found = run(ablation(references={"cnn": CNN}), tmp_path, shared)
    assert not (tmp_path / "r" / "weights").exists()  # nobody needed it
    outcome, found = run(taught(seeds=1), tmp_path, shared)
    assert sorted(r.variant for r in found["accuracy"]) == ["baseline", "cnn", "soft", "vit_p4_d16_l1"]
    assert len({r.id for r in found["accuracy"]}) == 3
    assert outcome.failed == 0


def test_a_failed_teacher_fails_its_pupils_with_that_reason(tmp_path, shared):
    declared = taught(references={"cnn": ExternalConfig("faults:raises")}, tuning=dataclasses.replace(TUNING, tries=1))
    outcome, found = run(declared, tmp_path, shared)
    rows = {(r.variant, r.seed, r.settings["recipe"]): r for r in found["accuracy"]}
    reason = rows["cnn", 0, "same"].reason
    assert "IndexError" in reason
    for seed in range(2):
        assert rows["soft", seed, "same"].status == "failed"
        assert rows["soft", seed, "same"].reason == f"its teacher cnn failed: {reason}"
    assert rows["baseline", 0, "same"].ok
    again = run(declared, tmp_path, shared)[0]
    assert (again.done, again.failed) == (0, outcome.failed)


LOW = {
    "low": {"data.scale": 0.5},
    "untouched": {"data.scale": 0.5, "train.init_from": "variant:low", "train.epochs": 0},
    "tested_high": {"train.init_from": "variant:low", "train.epochs": 0},
    "tuned_high": {"train.init_from": "variant:low"},
}


def test_a_row_goes_on_where_another_one_ended_at_another_resolution_too(tmp_path, shared):
    declared = ablation(combined=LOW, seeds=2)
    outcome, found = run(declared, tmp_path, shared)
    assert (outcome.done, outcome.failed) == (10, 0)
    rows = {(r.variant, r.seed): r for r in found["accuracy"]}
    for seed in range(2):
        low, same, high, tuned = (rows[name, seed] for name in LOW)
        assert {r.settings["init_from"] for r in (same, high, tuned)} == {low.id}
        assert same.samples["correct"] == low.samples["correct"]  # the same model on the same images
        assert (same.values["epochs"], same.values["steps"], same.values["train_loss"]) == (0, 0, None)
        assert high.samples["correct"] != low.samples["correct"]
        assert any("resized" in line for line in high.values["init"])
        assert (tuned.values["epochs"], tuned.values["steps"]) == (1, low.values["steps"])
    ids = {r.id for r in found["accuracy"]}
    assert len(ids) == 10
    assert run(declared, tmp_path, shared)[0].done == 0
    curve = load_arrays(tmp_path / "r", rows["tuned_high", 0].artifacts[0])
    assert curve["epoch"].tolist() == [0, 1]
    assert curve["val_accuracy"][0] == rows["tested_high", 0].values["val_accuracy"]


def test_who_starts_from_a_failed_row_fails_with_that_reason(tmp_path, shared):
    start = {"source": "faults:raises"}
    declared = ablation(
        baseline=ExternalConfig("faults:good", img_size=8, in_chans=1, num_classes=10),
        combined={"bad": start, "later": {"train.init_from": "variant:bad"}},
    )
    _, found = run(declared, tmp_path, shared)
    rows = {r.variant: r for r in found["accuracy"]}
    assert rows["later"].reason == f"what it starts from, bad failed: {rows['bad'].reason}"


def test_a_checkpoints_content_is_part_of_what_is_measured(tmp_path, shared):
    from vitbench.models import build
    from vitbench.models.weights import save_weights

    path = tmp_path / "start.safetensors"
    declared = ablation(axes={"train.init_from": (None, str(path))})
    with pytest.raises(UserError, match="no checkpoint"):
        run(declared, tmp_path, shared)
    save_weights(build(TINY), path)
    outcome, found = run(declared, tmp_path, shared)
    assert (outcome.done, outcome.failed) == (2, 0)
    save_weights(build(TINY), path)  # other random weights under the same name
    outcome, found = run(declared, tmp_path, shared)
    assert outcome.done == 1
    assert len({r.id for r in found["accuracy"]}) == 3
