"""The sections that compare families, and those that need what the trials kept."""

import re

import numpy as np
import pandas as pd
import pytest

from tests.support.made_curves import curves
from tests.support.made_families import VARIANTS, two_families
from tests.support.made_records import Made
from tests.support.made_tuned import made_tuned
from tests.support.reading import part
from vitbench import report
from vitbench.report.sections import training_outcomes


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    made = two_families(tmp_path_factory.mktemp("families"))
    report.write(made.folder)
    return (made.folder / "report.md").read_text(encoding="utf-8")


def rows(found):
    """First cell of each table row → its other cells."""
    lines = [line.strip("| ").split(" | ") for line in found.splitlines() if line.startswith("| `")]
    return {line[0].strip(" `"): [cell.strip() for cell in line[1:]] for line in lines}


@pytest.mark.slow
def test_pareto_fronts_have_probabilities(text):
    found = rows(part(text, "Pareto front"))
    assert found["vit"][2:6] == ["0%"] * 4
    assert found["vit_small"][2:6] == ["100%"] * 4
    answer = part(text, "Answer")
    assert "1 of 2 ViT variants (`vit_small`) and 1 of 1 ResNet variants (`resnet`)" in answer


def test_of_many_classes_the_most_different_are_shown_and_all_counted():
    """Forty classes, twelve of them better, of which the figure has room for twenty-four."""
    frame = pd.DataFrame({"name": [str(i) for i in range(40)], "images": 30, "first": 0.9, "second": 0.8,
                          "value": np.arange(40) / 100, "low": 0.0, "high": 0.5, "n": 6, "verdict": "x"})  # fmt: skip
    frame["kind"] = ["none"] * 28 + ["better"] * 12
    found = training_outcomes.class_section("ViT", "a", "ResNet", "b", frame, name="classes")
    (table,) = found.tables
    assert "a is better in 12 and worse in 0 of 40 classes" in table.caption
    assert [row[0].text for row in table.rows] == [str(i) for i in range(16, 40)]
    assert "the 24 of 40 classes" in found.caption


def test_training_speed_has_steps_and_seconds(text):
    found = part(text, "Training speed")
    took = rows(found)
    assert len(took) == 2
    for _, steps, seconds in took.values():
        assert int(steps) in {20, 40, 60, 80}
        assert float(seconds) > 0
    assert "no interval" in found


def test_the_class_that_differs_has_the_verdict(text):
    found = part(text, "Accuracy by class: ViT against ResNet")
    verdicts = {name: cells[-1] for name, cells in rows(found).items()}
    assert verdicts["dog"].startswith("worse by")
    assert not verdicts["cat"].startswith(("worse", "better"))
    assert "180 test images a class, one image is 0.56 points." in found


def test_calibration_has_overconfidence(text):
    """Logits of 3 against 0 have confidence .953, and the models are right in about 75 of 100."""
    found = rows(part(text, "Calibration"))
    assert float(re.search(r"\+(\d+\.\d) \[", found["vit"][4])[1]) == pytest.approx(20, abs=4)


def test_test_groups_have_accuracies_and_verdicts(text):
    found = part(text, "Accuracy by test group")
    assert "same place (200 images)" in found
    verdicts = {name: cells for name, cells in rows(found).items() if name in {"same place", "any shift"}}
    assert len(verdicts) == 2
    assert all(cells[1] == "`resnet`" and cells[-1].startswith("worse by ") for cells in verdicts.values())


def test_attention_distance_is_shown_with_the_receptive_field(text):
    found = part(text, "Receptive field")
    assert rows(found)["resnet"][1:] == ["3 → 7 → 13 → 25", "layer 6"]
    assert "Images are 8 px wide" in found


@pytest.mark.slow
def test_sections_without_data_are_left_out(tmp_path):
    """With three seeds the answer is silent too."""
    made = two_families(tmp_path, kept=False, seeds=3)
    report.write(made.folder)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    titles = re.findall(r"^## (.*)", text, flags=re.MULTILINE)
    assert "Pareto front" in titles
    gone = ("Training speed", "Accuracy by class", "Calibration", "Accuracy by test", "Receptive", "Tuned", "Data sc")
    assert [title for title in titles if title.startswith(gone)] == []
    assert "Pareto" not in part(text, "Answer")


def test_tuned_and_shared_recipe_are_side_by_side(tmp_path):
    made = made_tuned(tmp_path)
    report.write(made.folder)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    found = part(text, "Tuned accuracy")
    assert "the same 2 tries" in found
    assert "All tries took 4.00 s, the time of 4 trainings" in found
    cost = rows(found.partition("| Tuned model")[2])
    assert cost["vit"][:-1] == ["2", "2", "0", "2.00", "0.00100", "0.100"]
    assert {cells[-1] for cells in cost.values()} == {"tuning won", "the shared recipe won"}
    assert "better by 10.5 points" in found
    answer = part(text, "Answer")
    assert "With tuned variants, against the tuned baseline `vit` (91.0% [90.2, 91.8])" in answer


@pytest.mark.parametrize("ahead", [True, False])
def test_the_crossover_is_in_table_and_answer(tmp_path, ahead):
    report.write(curves(tmp_path, ahead=ahead).folder)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    found, answer = part(text, "Data scaling"), part(text, "Answer")
    (_, crossover) = rows(found.partition("| Variant | Overtakes")[2])["vit"]
    if ahead:
        size = int(re.fullmatch(r"(\d+) \[\d+, \d+\]", crossover)[1])
        assert size == pytest.approx(98, abs=15)
        assert f"`vit` is at least as accurate as `resnet` from {crossover.replace(' ', ' images on ', 1)}." in answer
    else:
        assert crossover == "not reached up to 800 ahead in 0% of the draws"
        assert "`vit` is at least as accurate as `resnet`: not reached up to 800 images" in answer
    assert "2 of 2 models" in found
    assert "trained on 50 to 800 of them" in part(text, "Scope")


def test_what_training_waited_for_images_is_said(tmp_path):
    made = Made(tmp_path, VARIANTS)
    for seed, share in enumerate((0.01, 0.05)):
        made.append("accuracy", "vit", seed=seed, values={"accuracy": 0.5, "wait_share": share})
    report.write(tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "**Waiting for data**: 3.0% of the training time, mean over 2 trials; at most 5.0%" in text


def test_tuned_trials_still_to_come_are_counted(tmp_path):
    report.write(made_tuned(tmp_path, trained=False).folder)
    assert "18 of 36 accuracy trials are recorded" in (tmp_path / "report.md").read_text(encoding="utf-8")
