"""The parts of a report that set families side by side: there where the records have what it takes, and sound."""

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
from vitbench.report import training_outcomes
from vitbench.report.phrases import plain


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    made = two_families(tmp_path_factory.mktemp("families"))
    report.write(made.folder)
    return (made.folder / "report.md").read_text(encoding="utf-8")


def test_fronts_in_words_and_numbers(text):
    found = part(text, "Which models no other one beats")
    assert "accuracy against latency: `vit_small` and `resnet`;" in found
    assert "On none of them in more than 5%: `vit`." in found
    rows = [line for line in found.splitlines() if line.startswith("| `")]
    assert re.findall(r"\d+%", rows[0])[:4] == ["0%"] * 4
    assert re.findall(r"\d+%", rows[1])[:4] == ["100%"] * 4
    answer = part(text, "The answer")
    assert "1 of 2 ViT variants (`vit_small`) and 1 of 1 ResNet variants (`resnet`)" in answer


def test_many_classes_are_counted_and_the_most_different_shown():
    """Forty classes, twelve of them better, of which the picture has room for twenty-four."""
    frame = pd.DataFrame({"name": [str(i) for i in range(40)], "images": 30, "first": 0.9, "second": 0.8,
                          "value": np.arange(40) / 100, "low": 0.0, "high": 0.5, "n": 6, "verdict": "x"})  # fmt: skip
    frame["kind"] = ["none"] * 28 + ["better"] * 12
    found = training_outcomes._class_picture("ViT", "a", "ResNet", "b", frame, name="classes")
    assert plain(found.words[1]) == "The first is better in 12 classes; in 28 of 40 classes none is shown to be."
    assert [row[0].text for row in found.grids[0].rows] == [str(i) for i in range(16, 40)]
    assert "Of 40 classes the 24 are shown" in found.caption


def test_learning_is_told_in_steps_and_seconds(text):
    found = part(text, "Learning in steps and in seconds")
    assert re.search(r"`vit\w*` took \d+ steps and [\d.]+ s and `resnet` took \d+ steps and [\d.]+ s", found)
    assert "no interval" in found


def test_the_class_that_differs_is_named(text):
    found = part(text, "Class by class: ViT against ResNet")
    assert "The second is better in `dog`; in 1 of 2 classes none is shown to be." in found
    dog = next(line for line in found.splitlines() if line.startswith("| `dog`"))
    assert "worse by" in dog
    assert "180 test images a class: one image is 0.56 points." in found


def test_calibration_stands_beside_what_a_perfect_model_shows(text):
    """Logits of 3 against 0 say .953, and the models are right in about 75 of 100: too sure."""
    found = part(text, "How sure, and how often right")
    vit = next(line for line in found.splitlines() if line.startswith("| `vit`"))
    assert float(re.search(r"\+(\d+\.\d) \[", vit)[1]) == pytest.approx(20, abs=4)


def test_parts_of_the_test_split_are_read_apart(text):
    found = part(text, "What each can and cannot do")
    assert "same place (200 images)" in found
    assert re.search(r"`vit\w*` against `resnet`, by part: `same place`: worse by .*; `any shift`: worse by ", found)


def test_reach_stands_beside_the_receptive_field(text):
    found = part(text, "How far they look, and how far they could")
    assert "3 → 7 → 13 → 25" in found
    assert "layer 6" in found
    assert "Images are 8 px a side" in found


def test_without_what_they_show_the_parts_are_not_there(tmp_path):
    """Of three seeds, which also say nothing in the answer."""
    made = two_families(tmp_path, kept=False, seeds=3)
    report.write(made.folder)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    titles = re.findall(r"^## (.*)", text, flags=re.MULTILINE)
    assert "Which models no other one beats" in titles
    gone = ("Learning in steps", "Class by class", "How sure", "What each", "How far they", "Same recipe", "How much")
    assert [title for title in titles if title.startswith(gone)] == []
    assert "On the front" not in part(text, "The answer")


def test_tuned_and_same_recipe_stand_side_by_side(tmp_path):
    made = made_tuned(tmp_path)
    report.write(made.folder)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    found = part(text, "Same recipe, and each at its tuned best")
    assert "Everyone got the same 2 tries" in found
    assert "Together they took 4.00 s, as much as 4 trainings" in found
    assert (
        "`vit` (for 2 variants): 2 tries in 2.00 s (no interval); best: learning rate 0.00100, weight decay 0.100."
        in found
    )
    assert "(the recipe's own)" in found
    assert "better by 10.5 points" in found
    assert "With each at its tuned best, against the baseline `vit` (91.0% [90.2, 91.8])" in part(text, "The answer")


@pytest.mark.parametrize(
    ("ahead", "sentence"),
    [
        (True, r"`vit` overtakes `resnet` at (\d+) images \[\d+, \d+\] \(95% interval of a bootstrap over 6 seeds\)"),
        (
            False,
            r"`vit` overtakes `resnet` was not reached up to (800) images \(fitted curves; there it is ahead in 0%",
        ),
    ],
)
def test_the_crossing_is_told_in_words(tmp_path, ahead, sentence):
    report.write(curves(tmp_path, ahead=ahead).folder)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    found = part(text, "How much data")
    size = re.search(sentence, found)
    assert size
    assert re.search(sentence, part(text, "The answer"))
    assert int(size[1]) == (pytest.approx(98, abs=15) if ahead else 800)
    assert "2 of 2 are fitted" in found
    assert "trained on 50 to 800 of them" in part(text, "Scope")
    assert found.count("| `") == 2  # two laws


def test_what_training_waited_for_images_is_said(tmp_path):
    made = Made(tmp_path, VARIANTS)
    for seed, share in enumerate((0.01, 0.05)):
        made.append("accuracy", "vit", seed=seed, values={"accuracy": 0.5, "wait_share": share})
    report.write(tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "**Waiting for data**: 3.0% of the training time, mean over 2 trials; 5.0% in the one that" in text


def test_tuned_trials_still_to_come_are_counted(tmp_path):
    report.write(made_tuned(tmp_path, trained=False).folder)
    assert "18 of 36 accuracy trials are recorded" in (tmp_path / "report.md").read_text(encoding="utf-8")
