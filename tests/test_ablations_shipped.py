"""The shipped ablations: they declare what they say, under every recipe, and the known answer comes out."""

import dataclasses
import itertools
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from vitbench.ablate import Options, training_from
from vitbench.declare import discovery
from vitbench.declare.recipes import RECIPES
from vitbench.declare.train import TrainConfig
from vitbench.declare.variant import family, format_value
from vitbench.records.reader import read
from vitbench.run import execute

NAMES = sorted(path.stem for path in discovery.shipped_directory().glob("*.py"))


def shipped(name):
    return discovery.load(name).ablation


def test_the_readme_names_every_shipped_ablation():
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    listed = text.partition("Shipped questions:")[2].partition("Your own question")[0]
    assert [name for name in NAMES if f"`{name}`" not in listed] == []


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_goes_with_every_shipped_ablation(name, recipe):
    """Expansion alone: a row is never trained twice, none is lost, and a claim compares what its words say."""
    declared = shipped(name)
    retrained = dataclasses.replace(declared, **training_from(Options(name=name, recipe=recipe), declared))
    rows = retrained.variants()
    assert [v.name for v in rows if v.reason] == []
    for one, other in itertools.combinations(rows, 2):
        assert (one.model, one.train, one.data, one.measure) != (other.model, other.train, other.data, other.measure)
    compared = [claim for claim in declared.claims if claim.along is None]
    for side in (side for claim in compared for side in claim.equal or (claim.better, claim.than)):
        was, now = declared.variant(side), retrained.variant(side)
        assert (was.model, was.data) == (now.model, now.data)
        settings = [part.split("=") for part in str(side).split(",") if "=" in part]
        assert [[axis, format_value(now.axes[axis])] for axis, _ in settings] == settings


def test_a_claim_keeps_its_meaning_where_a_recipe_moves_the_baseline():
    """simple_vit smooths no labels: the row with smoothing is then the one that differs."""
    declared = shipped("regularization")
    retrained = dataclasses.replace(declared, **training_from(Options(name="x", recipe="simple_vit"), declared))
    (claim,) = [c for c in declared.claims if "smoothing" in c.text]
    for ablation, names in (
        (declared, ("baseline", "train.label_smoothing=0")),
        (retrained, ("train.label_smoothing=0.1", "baseline")),
    ):
        better, than = (ablation.variant(side) for side in (claim.better, claim.than))
        assert (better.name, than.name) == names
        assert (better.train.label_smoothing, than.train.label_smoothing) == (0.1, 0.0)


def test_every_model_of_data_scaling_sees_the_same_amounts_of_data_in_as_many_steps():
    curves = defaultdict(list)
    for v in shipped("data_scaling").variants():
        assert v.data.same_steps
        curves[v.curve].append(v.data.fraction)
    assert len(curves) == 4
    assert {tuple(fractions) for fractions in curves.values()} == {(1.0, 0.5, 0.25, 0.1, 0.05)}


def test_distillation_has_every_way_with_every_teacher_and_teachers_learn_alone():
    rows = {v.name: v for v in shipped("distillation").variants()}
    ways = Counter((v.needs["teacher"], v.train.distillation, v.model.distilled) for v in rows.values() if v.needs)
    assert ways == {
        (teacher, *way): 1 for teacher in ("cnn", "vit") for way in (("soft", False), ("hard", False), ("hard", True))
    }
    assert [family(rows[teacher].model) for teacher in ("cnn", "vit")] == ["ResNet", "ViT"]
    # mixed, or a teacher that knows every training image would say the labels alone
    assert {rows[name].train for name in ("baseline", "cnn", "vit")} == {TrainConfig(mixup=0.8)}
    # DeiT's weight and temperature of soft labels (arXiv 2012.12877, section 5.2)
    soft = rows["soft_by_cnn"].train
    assert (soft.distillation_alpha, soft.distillation_tau) == (0.1, 3.0)


def test_batch_norm_changes_norm_and_batch_alone_and_the_learning_rate_by_one_rule():
    default, found = TrainConfig(), defaultdict(set)
    for v in shipped("batch_norm").variants():
        found[v.train.batch_size].add(v.model.norm)
        assert v.train.lr == pytest.approx(default.lr * (v.train.batch_size / default.batch_size) ** 0.5, rel=0.02)
        assert dataclasses.replace(v.train, batch_size=default.batch_size, lr=default.lr) == default
    assert found == {size: {"layernorm", "batchnorm"} for size in (2, 4, default.batch_size)}


@pytest.mark.nightly("answers")
def test_the_known_answer_of_padding_comes_out(tmp_path):
    """Chance to the last image where position cannot be known (`quadrant` moves a scene by whole strides)."""
    declared = dataclasses.replace(shipped("padding"), train=TrainConfig(epochs=12), seeds=1)
    outcome = execute(declared, name="padding", directory=tmp_path / "r", kinds=("accuracy",))
    assert outcome.failed == 0
    found = {r.variant: r.values["accuracy"] for r in read(tmp_path / "r") if r.kind == "accuracy"}
    assert found["padding=circular"] == found["vit_none"] == 0.25
    assert found["padding=zeros"] > 0.9
    assert found["vit_learned"] > 0.5
