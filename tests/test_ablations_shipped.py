"""The shipped ablations of issue 4: they declare what they say, and the known answer comes out."""

import dataclasses
from collections import Counter, defaultdict

import pytest

from vitbench import discovery
from vitbench.ablation import family
from vitbench.config import TrainConfig
from vitbench.records import read
from vitbench.run import execute


def shipped(name):
    return discovery.load(name).ablation


def test_every_model_of_data_scaling_sees_the_same_amounts_of_data_in_as_many_steps():
    curves = defaultdict(list)
    for v in shipped("data_scaling").variants():
        assert v.data.same_steps
        curves[v.curve].append(v.data.fraction)
    assert len(curves) == 4
    assert {tuple(fractions) for fractions in curves.values()} == {(1.0, 0.5, 0.25, 0.1, 0.05)}


def test_distillation_has_every_way_with_every_teacher_and_teachers_learn_alone():
    rows = {v.name: v for v in shipped("distillation").variants()}
    ways = Counter((v.teacher, v.train.distillation, v.model.distilled) for v in rows.values() if v.teacher)
    assert ways == {
        (teacher, *way): 1 for teacher in ("cnn", "vit") for way in (("soft", False), ("hard", False), ("hard", True))
    }
    assert [family(rows[teacher].model) for teacher in ("cnn", "vit")] == ["ResNet", "ViT"]
    assert {rows[name].train for name in ("baseline", "cnn", "vit")} == {TrainConfig()}
    # DeiT's weight and temperature of soft labels (arXiv 2012.12877, section 5.2)
    soft = rows["soft_by_cnn"].train
    assert (soft.distillation_alpha, soft.distillation_tau) == (0.1, 3.0)


@pytest.mark.slow
def test_the_known_answer_of_padding_comes_out(tmp_path):
    """Chance to the last image where position cannot be known (FACTS §5; `quadrant` moves a scene by whole strides)."""
    declared = dataclasses.replace(shipped("padding"), train=TrainConfig(epochs=12), seeds=1)
    outcome = execute(declared, name="padding", directory=tmp_path / "r", kinds=("accuracy",))
    assert outcome.failed == 0
    found = {r.variant: r.values["accuracy"] for r in read(tmp_path / "r") if r.kind == "accuracy"}
    assert found["padding=circular"] == found["vit_none"] == 0.25
    assert found["padding=zeros"] > 0.9
    assert found["vit_learned"] > 0.5
