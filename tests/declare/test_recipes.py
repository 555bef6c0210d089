"""Recipes: the sources' numbers, and settings that contradict each other."""

import dataclasses
import subprocess
import sys

import pytest

import vitbench
from vitbench.declare.recipes import RECIPES, recipe
from vitbench.declare.serialize import as_dict, from_dict
from vitbench.declare.train import TrainConfig
from vitbench.utils.errors import ConfigError, ImpossibleConfigError, UserError


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_has_its_source_and_survives_json(name):
    assert from_dict(as_dict(recipe(name))) == recipe(name)
    text = RECIPES[name].__doc__
    assert "Adapted:" in text
    assert "own pilot" in text or "arXiv" in text or "et al." in text


def test_deits_recipe_is_its_table_9():
    made = vitbench.recipe("deit")
    assert (made.epochs, made.batch_size, made.optimizer) == (300, 1024, "adamw")
    assert made.lr == 0.0005 * 1024 / 512
    assert made.warmup_fraction * made.epochs == pytest.approx(5)
    assert (made.weight_decay, made.label_smoothing, made.clip_grad_norm) == (0.05, 0.1, 0)
    assert (made.rand_augment, made.rand_magnitude, made.mixup, made.cutmix, made.erase) == (2, 9, 0.8, 1.0, 0.25)


def test_simple_vits_decay_is_its_own_under_adamw():
    """big_vision takes off 1e-4 of a weight a step at the peak; AdamW takes off lr × weight_decay."""
    made = recipe("simple_vit")
    assert made.lr * made.weight_decay == pytest.approx(1e-4)
    assert made.warmup_fraction * 90 * 1_281_167 * 0.99 / 1024 == pytest.approx(10_000, rel=0.02)
    assert (made.label_smoothing, made.clip_grad_norm, made.mixup, made.cutmix) == (0, 1, 0.2, 0)


def test_an_unknown_recipe_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="small, cifar, deit, simple_vit, resnet exist; did you mean 'simple_vit'"):
        recipe("simplevit")


def test_recipes_need_no_torch():
    code = "import sys; from vitbench import recipe; recipe('deit'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "pandas", "scipy", "numpy"} & set(loaded)


def test_the_default_recipe_has_everything_new_off():
    made = TrainConfig()
    off = {name: getattr(made, name) for name in ("mixup", "cutmix", "rand_augment", "erase", "ema")}
    assert set(off.values()) == {0}
    assert (made.optimizer, made.crop, made.accumulate, made.compile) == ("adamw", "none", 1, False)
    assert (made.layer_decay, made.init_from, made.teacher, made.distillation) == (1, None, None, "none")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"optimizer": "adam2"}, ["optimizer 'adam2'", "adamw, sgd, adam"]),
        ({"momentum": 1.0}, ["momentum=1.0", "0 up to"]),
        ({"betas": (0.9, 1.0)}, ["betas=(0.9, 1.0)", "0 up to"]),
        ({"mixup": -0.1}, ["mixup=-0.1", "0 or more"]),
        ({"cutmix": -1}, ["cutmix=-1", "0 or more"]),
        ({"crop": "resised"}, ["crop 'resised'", "did you mean 'resized'"]),
        ({"crop_scale": (0.0, 1.0)}, ["crop_scale=(0.0, 1.0)", "up to 1"]),
        ({"crop_scale": (0.5, 0.2)}, ["crop_scale=(0.5, 0.2)"]),
        ({"crop_scale": (0.5, 1.2)}, ["crop_scale=(0.5, 1.2)"]),
        ({"rand_augment": -1}, ["rand_augment=-1", "0 or more"]),
        ({"rand_magnitude": 11}, ["rand_magnitude=11", "0 to 10"]),
        ({"erase": 1.5}, ["erase=1.5", "0 to 1"]),
        ({"ema": 1.0}, ["ema=1.0", "0 up to"]),
        ({"accumulate": 0}, ["accumulate=0", "1 or more"]),
        ({"precision": "float8"}, ["precision 'float8'", "float16"]),
        ({"compile": 1}, ["compile=1", "True or False"]),
        ({"layer_decay": 0.0}, ["layer_decay=0.0", "more than 0"]),
        ({"layer_decay": 1.1}, ["layer_decay=1.1", "0 to 1"]),
        ({"init_from": ""}, ["init_from=''", "path of a checkpoint"]),
        ({"teacher": "", "distillation": "soft"}, ["teacher=''", "path of a checkpoint"]),
        ({"distillation_alpha": 2, "teacher": "t", "distillation": "soft"}, ["distillation_alpha=2", "0 to 1"]),
        ({"distillation_tau": 0, "teacher": "t", "distillation": "soft"}, ["distillation_tau=0", "more than 0"]),
    ],
)
def test_a_value_that_does_not_exist_is_refused(values, words):
    with pytest.raises(ConfigError) as caught:
        TrainConfig(**values)
    assert not isinstance(caught.value, ImpossibleConfigError)
    assert all(word in str(caught.value) for word in words), caught.value


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"teacher": "t.pth"}, ["teacher=t.pth", "distillation=none", "soft or hard"]),
        ({"distillation": "hard"}, ["distillation=hard", "needs a teacher"]),
        ({"crop": "resized", "shift_px": 2}, ["shift_px=2", "crop=resized"]),
    ],
)
def test_settings_that_contradict_each_other_are_refused(values, words):
    with pytest.raises(ImpossibleConfigError) as caught:
        TrainConfig(**values)
    assert all(word in str(caught.value) for word in words), caught.value


def test_what_is_switched_off_keeps_its_settings():
    """An axis may take mixing, cropping or the optimiser away from a recipe without touching the rest."""
    for off in ({"rand_augment": 0}, {"crop": "none"}, {"optimizer": "sgd"}, {"mixup": 0.0}):
        dataclasses.replace(recipe("deit"), **off)
