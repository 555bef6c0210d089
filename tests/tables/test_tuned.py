"""Tuned trials: which count, what the table says of them, and that the shared recipe stays what it was."""

import pytest

from tests.support.made_records import Made
from tests.support.made_tuned import NAMES, TRAIN, VARIANTS, made_tuned
from vitbench import stats, tables
from vitbench.tables import tuned
from vitbench.tables.columns import COLUMNS, columns_for


def test_the_table_has_both_and_what_tuning_cost(tmp_path):
    table = tables.load(made_tuned(tmp_path).folder).set_index("variant")
    assert table["accuracy"].tolist() == pytest.approx([0.805, 0.705, 0.955])
    assert table["accuracy_tuned"].tolist() == pytest.approx([0.91, 0.76, 0.96])
    expected = stats.mean_interval([0.90 + 0.004 * s for s in range(6)])
    assert table.loc["vit", ["accuracy_tuned_low", "accuracy_tuned_high"]].tolist() == pytest.approx(
        [expected.low, expected.high]
    )
    assert table["tuned_lr"].tolist() == [0.001, 0.001, 0.002]
    assert table["tuned_weight_decay"].tolist() == [0.1, 0.1, 0.05]
    assert table["tuning_seconds"].tolist() == [2.0] * 3  # two tries of one second
    assert table["seeds"].tolist() == [6] * 3
    assert table.columns[-1] == "reason"


def test_without_tuning_the_table_is_as_it_was(tmp_path):
    Made(tmp_path, VARIANTS)
    assert not [name for name in tables.load(tmp_path).columns if "tun" in name]
    assert [c.name for c in columns_for(())] == [c.name for c in columns_for((), tuned=True) if "tun" not in c.name]
    assert {c.name for c in columns_for((), tuned=True)} == {c.name for c in COLUMNS}


def test_verdicts_on_gain_and_between_the_tuned(tmp_path):
    found = tuned.tuned(tables.read_study(made_tuned(tmp_path).folder)).set_index("variant")
    assert found["gain_kind"].tolist() == ["better", "better", ""]
    assert found.loc["resnet", "gain"] == "the recipe's own values won"
    assert found.loc["vit", "gain"].startswith("better by 10.5 points")
    assert found.loc["vit_small", "verdict"].startswith("−15.0 points in each of 6 seeds")
    assert found.loc["resnet", "kind"] == "untested"  # exactly 5 points in every seed: nothing to test against
    assert found.loc["vit", "verdict"] == ""
    assert found["tried"].tolist() == ["vit", "vit", "resnet"]


def test_what_tuning_cost_is_counted_once_a_family(tmp_path):
    cost = tuned.tuning_cost(tables.read_study(made_tuned(tmp_path).folder)).set_index("variant")
    assert cost["serves"].to_dict() == {"vit": 2, "resnet": 1}
    assert cost["tries"].tolist() == [2, 2]
    assert cost["seconds"].sum() == 4.0


def test_a_try_that_failed_is_counted_and_never_wins(tmp_path):
    cost = tuned.tuning_cost(tables.read_study(made_tuned(tmp_path, vit=(0.5, None), trained=False).folder))
    vit = cost.set_index("variant").loc["vit"]
    assert vit[["failed", "lr"]].tolist() == [1, 0.002]


def test_trials_of_another_winner_do_not_count(tmp_path):
    """The tries say the recipe's own values are best; what was trained under others is of an older tuning."""
    study = tables.read_study(made_tuned(tmp_path, vit=(0.7, 0.5)).folder)
    assert tuned.tuned_accuracies(study, "vit") == {}
    assert len(tuned.tuned_accuracies(study, "resnet")) == 6
    assert tables.load(tmp_path).set_index("variant").loc["vit", "accuracy_tuned":"tuned_lr"].isna().tolist() == [
        True, True, True, False,
    ]  # fmt: skip


def test_nothing_is_tuned_before_all_tries_are_there(tmp_path):
    made = made_tuned(tmp_path)
    lines = (tmp_path / "records.jsonl").read_text().splitlines(keepends=True)
    kept = [line for line in lines if '"try":1' not in line or '"variant":"vit"' not in line]
    (tmp_path / "records.jsonl").write_text("".join(kept))
    study = tables.read_study(made.folder)
    assert set(study.chosen) == {"resnet"}
    assert tuned.tuned(study)["variant"].tolist() == ["resnet"]


def test_an_older_record_counts_under_a_newer_config(tmp_path):
    """Fields that came later stand at their defaults: a record that lacks them is of the same config and recipe."""
    config = {"type": "ResNetConfig", "depth": 18, "img_size": 8}
    newer = {**config, "variant": "plain", "padding": "zeros"}
    made = Made(tmp_path, [{"name": "a", "config": newer}], settings={"train": {**TRAIN, "mixup": 0.0}})
    for seed, (model, train) in enumerate(
        [
            (config, TRAIN),
            (newer, {**TRAIN, "mixup": 0.0}),
            (config, {**TRAIN, "mixup": 0.2}),
            ({**config, "padding": "circular"}, TRAIN),
        ]
    ):
        made.append("accuracy", "a", seed=seed, config=model, settings={"device": "cpu", "train": train},
                    values={"accuracy": seed / 10})  # fmt: skip
    assert tables.accuracy_seeds(tables.read_study(tmp_path))["seed"].tolist() == [0, 1]


def test_one_measurement_may_stand_for_two_variants(tmp_path):
    """Under one id, in one folder or in two: neither row loses it."""
    for name in ("one", "two"):
        made = Made(tmp_path / name, VARIANTS)
        for variant in NAMES[:2]:
            made.append("cost", variant, config=None, values={"params": 7})
    table = tables.load(tmp_path / "one", tmp_path / "two")
    assert table["params"].tolist()[:2] == [7, 7]
    assert len(tables.read_study(tmp_path / "one", tmp_path / "two").of("cost")) == 2
