"""Families side by side: who is compared, who stands for whom, fronts, curves, classes, calibration, groups."""

import numpy as np
import pytest

from tests.support.made_records import Made
from vitbench import stats, tables
from vitbench.tables import image_groups, model_families, training_outcomes

PAIR = [{"name": "vit"}, {"name": "vit_small"}, {"name": "resnet", "family": "ResNet", "is_reference": True}]


@pytest.fixture
def made(tmp_path):
    """Three models, two families, six seeds: the small ViT is as good as the large one at half the price."""
    made = Made(tmp_path, PAIR)
    for name, macs, level in (("vit", 4000, 0.9), ("vit_small", 2000, 0.9), ("resnet", 3000, 0.95)):
        made.cost(name, params=macs // 2, macs=macs)
        made.memory(name, inference=macs * 1000, training=macs * 3000)
        made.accuracy(name, [level + 0.002 * seed for seed in range(6)], epochs=3)
    made.timing({"vit": 4e-3, "vit_small": 2e-3, "resnet": 3e-3})
    return made


def study(made):
    return tables.read_study(made.folder)


def test_each_family_has_its_best_on_validation(made):
    """The test split says the small one is better, the validation split says the large one: the latter decides."""
    found = Made(made.folder / "own", PAIR)
    for name, seen, tested in (("vit", 0.8, 0.7), ("vit_small", 0.7, 0.8), ("resnet", 0.6, 0.6)):
        for seed in range(2):
            found.append("accuracy", name, seed=seed, values={"accuracy": tested, "val_accuracy": seen})
    assert model_families.representatives(study(found)) == {"ViT": "vit", "ResNet": "resnet"}
    assert list(model_families.families(study(made))) == ["ViT", "ResNet"]


def test_a_front_of_every_cost(made):
    own = study(made)
    front = model_families.fronts(own, tables.table(own))
    assert list(front.columns) == list(model_families.FRONT)
    assert sorted(set(front["cost"])) == sorted(model_families.COSTS)
    chances = front.set_index(["cost", "variant"])["probability"]
    for cost in ("macs", "params", "latency_ms", "peak_memory_training_mib"):
        assert chances[cost].to_dict() == {"vit": 0, "vit_small": 1, "resnet": 1}  # paired: equal seeds, equal ViTs
    macs = front[front["cost"] == "macs"].set_index("variant")
    assert macs.loc["vit", ["value", "accuracy"]].tolist() == pytest.approx([4000, 0.905])
    assert macs[["low", "high"]].isna().all(axis=None)
    seconds = front[front["cost"] == model_families.TRAINING].set_index("variant")
    assert seconds["value"].tolist() == [15.0] * 3


def test_models_on_other_data_stand_on_no_front(tmp_path):
    variants = [
        {"name": "vit", "axes": {"data.fraction": 1.0}},
        {"name": "vit,data.fraction=0.5", "axes": {"data.fraction": 0.5}},
        {"name": "resnet", "axes": {"data.fraction": 1.0}, "family": "ResNet"},
        {"name": "old", "family": "ResNet"},
    ]
    made = Made(tmp_path, variants, axes={"data.fraction": [0.5, 1.0]})
    for v in variants:
        made.cost(v["name"], params=1, macs=2)
        made.append("accuracy", v["name"], seed=0, values={"accuracy": 0.5}, settings={"device": "cpu"})
    own = study(made)
    assert set(model_families.fronts(own, tables.table(own))["variant"]) == {"vit", "resnet", "old"}


def test_progress_is_the_mean_over_seeds_where_steps_were_kept(made):
    assert training_outcomes.progress(study(made)).empty
    for seed in range(6):
        made.looks("vit", seed, steps=np.array([10, 20, 30]), val_accuracy=np.array([0.1, 0.2, 0.3]) + seed / 10)
    found = training_outcomes.progress(study(made))
    assert set(found["variant"]) == {"vit"}
    assert found["steps"].tolist() == [10, 20, 30]
    assert found["val_accuracy"].tolist() == pytest.approx([0.35, 0.45, 0.55])


def labelled(made, name, seed, right, logits=None):
    """Ten images of class 0, ten of class 1; ``right`` of each are named correctly."""
    labels = np.repeat([0, 1], 10)
    predictions = np.where(np.arange(20) % 10 < np.repeat(right, 10), labels, 1 - labels)
    logits = 2.0 * np.eye(10)[predictions] if logits is None else logits
    made.looks(name, seed, labels=labels, predictions=predictions, logits=logits.astype(np.float32))


def test_classes_are_compared_seed_by_seed(made):
    for seed in range(6):
        labelled(made, "vit", seed, (9, 5 + seed % 2))
        labelled(made, "resnet", seed, (4 + seed % 2, 5 + seed % 3))
    found = training_outcomes.class_differences(study(made), "vit", "resnet").set_index("name")
    assert found["images"].tolist() == [10, 10]  # the other eight classes have no image here
    assert found.loc["0", "value"] == pytest.approx(0.9 - 0.45)
    assert found["kind"].tolist() == ["better", "none"]
    expected = stats.compare_with_holm(
        {"0": [0.5, 0.4] * 3, "1": np.array([5, 6] * 3) / 10 - np.array([5, 6, 7, 5, 6, 7]) / 10}, stats.ACCURACY
    )
    assert found["low"].tolist() == pytest.approx([expected["0"].low, expected["1"].low])


def test_without_labels_there_are_no_classes(made):
    assert training_outcomes.class_differences(study(made), "vit", "resnet").empty
    assert training_outcomes.calibration(study(made)).empty


def test_calibration_is_the_mean_over_seeds(made):
    """Softmax of one logit 2 over ten classes names its class with e²/(e²+9) = .4509 and is right in 14 of 20."""
    for seed in range(6):
        labelled(made, "vit", seed, (9, 5))
    (row,) = training_outcomes.calibration(study(made)).to_dict("records")
    sure = np.exp(2) / (np.exp(2) + 9)
    assert row["plain"] == pytest.approx(0.7 - sure, abs=1e-6)
    assert (row["excess"], row["seeds"], row["images"]) == (pytest.approx(sure - 0.7, abs=1e-6), 6, 20)
    assert row["low"] <= row["error"] <= row["high"]
    assert row["error"] <= row["plain"]


def test_groups_are_consecutive_parts_of_the_test_split(tmp_path):
    made = Made(tmp_path, PAIR, plan={"data": {"num_test": 10, "classes": ["a", "b"], "chance": 0.5,
                "test_groups": [["same place", 4], ["moved", 6]]}})  # fmt: skip
    right = [[1, 1, 1, 0, 0, 0, 0, 1, 1, 1], [1, 1, 1, 1, 0, 0, 0, 0, 0, 1]]  # four, then six
    made.accuracy("vit", [0.6, 0.5], curves=False, right=right)
    made.accuracy("resnet", [0.6], curves=False, right=[[1, 0]])  # of another split: left out
    found = image_groups.group_accuracies(study(made))
    assert set(found["variant"]) == {"vit"}
    assert found[found["group"] == "same place"]["accuracy"].tolist() == [0.75, 1.0]
    assert found[found["group"] == "moved"]["accuracy"].tolist() == pytest.approx([0.5, 1 / 6])
    means = image_groups.group_means(found).set_index("group")
    assert means.loc["moved", "value"] == pytest.approx(1 / 3)
    assert means.loc["same place", "high"] == 1.0  # no share beyond 1
    assert means["images"].tolist() == [4, 6]


def test_without_groups_nothing_is_read_apart(made):
    assert image_groups.group_accuracies(study(made)).empty
