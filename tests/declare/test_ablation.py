"""Ablations: axes expand into variants, claims name what exists, mistakes are answered in one sentence."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitbench.declare.ablation import Ablation
from vitbench.declare.claim import Claim
from vitbench.declare.data import DataConfig
from vitbench.declare.external import ExternalConfig
from vitbench.declare.measure import MeasureConfig
from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.settings import parse_setting
from vitbench.declare.train import TrainConfig
from vitbench.declare.tuning import Tuning
from vitbench.declare.variant import family, model_name
from vitbench.declare.vit import ViTConfig
from vitbench.utils.errors import ConfigError, UserError

BASE = ViTConfig(img_size=8, patch_size=2, in_chans=1, num_classes=10, embed_dim=48, depth=4, num_heads=4)


def ablation(**changes):
    return Ablation(**{"question": "Why?", "baseline": BASE, **changes})


def names(a):
    return [variant.name for variant in a.variants()]


def test_one_axis_names_every_variant_by_its_value_and_measures_the_baseline_first():
    a = ablation(axes={"pos_embed": ("none", "learned", "rope")})
    assert names(a) == ["pos_embed=learned", "pos_embed=none", "pos_embed=rope"]
    assert [v.is_baseline for v in a.variants()] == [True, False, False]
    assert [v.model.pos_embed for v in a.variants()] == ["learned", "none", "rope"]


def test_a_baseline_outside_the_axis_is_measured_all_the_same():
    assert names(ablation(axes={"depth": (2, 8)})) == ["depth=4", "depth=2", "depth=8"]


def test_several_axes_vary_one_at_a_time_by_default():
    a = ablation(axes={"depth": (2, 4), "train.lr": (0.001, 0.002), "measure.dtype": ("bfloat16",)})
    assert names(a) == ["baseline", "depth=2", "train.lr=0.001", "measure.dtype=bfloat16"]
    lr = a.variants()[2]
    assert (lr.model, lr.train.lr) == (BASE, 0.001)
    assert lr.axes == {"depth": 4, "train.lr": 0.001, "measure.dtype": "float32"}
    assert a.variants()[3].measure == MeasureConfig(dtype="bfloat16")


@given(sizes=st.lists(st.integers(1, 3), min_size=1, max_size=3))
def test_a_grid_has_every_combination_once(sizes):
    values = {"depth": (4, 5, 6), "embed_dim": (48, 96, 144), "mlp_ratio": (4.0, 2.0, 1.0)}
    axes = {axis: values[axis][:size] for axis, size in zip(values, sizes, strict=False)}
    cells = [tuple(v.axes.items()) for v in ablation(axes=axes, design="grid").variants()]
    assert len(cells) == len(set(cells)) == math.prod(sizes)


def test_an_impossible_cell_keeps_its_place_and_its_reason():
    rows = ablation(axes={"num_heads": (1, 5)}).variants()
    assert [v.model is None for v in rows] == [False, False, True]
    assert "num_heads=5 does not divide embed_dim=48" in rows[2].reason


def test_values_that_are_impossible_alone_may_be_possible_together():
    a = ablation(axes={"embed_dim": (48, 50), "num_heads": (4, 5)}, design="grid")
    assert {v.name: v.model is not None for v in a.variants()} == {
        "baseline": True,
        "embed_dim=48,num_heads=5": False,
        "embed_dim=50,num_heads=4": False,
        "embed_dim=50,num_heads=5": True,
    }


def test_references_are_fitted_to_the_data():
    rows = ablation(references=(ResNetConfig(depth=18), ViTConfig(patch_size=4, embed_dim=32, num_heads=2))).variants()
    assert [v.name for v in rows] == ["vit_p2_d48_l4", "resnet18", "vit_p4_d32_l12"]
    assert rows[1].model == ResNetConfig(depth=18, stem="cifar", img_size=8, in_chans=1, num_classes=10)
    assert rows[2].is_reference
    assert rows[2].model.num_classes == 10


def test_a_reference_that_cannot_be_fitted_is_skipped_with_its_reason():
    row = ablation(references={"vit": ViTConfig()}).variants()[-1]
    assert row.model is None
    assert "patch_size=16 does not divide img_size=8" in row.reason


def test_other_data_changes_every_model():
    a = ablation(axes={"patch_size": (2, 8)}, references=(ResNetConfig(depth=18),))
    a = a.on_data("folder:x", img_size=64, in_chans=3, num_classes=7)
    assert a.data == "folder:x"
    assert {(v.model.img_size, v.model.in_chans, v.model.num_classes) for v in a.variants()} == {(64, 3, 7)}
    assert a.variants()[-1].model.stem == "imagenet"


def test_a_setting_of_the_baseline_can_be_changed():
    a = ablation(axes={"pos_embed": ("learned", "none")})
    assert {v.model.depth for v in a.with_settings({"depth": 6}).variants()} == {6}
    assert a.with_settings({"train.lr": 0.5}).train == dataclasses.replace(TrainConfig(), lr=0.5)
    with pytest.raises(ConfigError, match="--data NAME"):
        a.with_settings({"img_size": 16})


def test_other_data_and_settings_change_at_once():
    a = ablation().on_data("folder:x", img_size=45, in_chans=3, num_classes=7, settings={"patch_size": 9})
    assert (a.baseline.img_size, a.baseline.patch_size) == (45, 9)
    with pytest.raises(ConfigError, match="patch_size=2 does not divide img_size=45"):
        ablation().on_data("folder:x", img_size=45, in_chans=3, num_classes=7)
    resnet = ablation(baseline=ResNetConfig(depth=18, img_size=8, in_chans=1, num_classes=10))
    shape = {"img_size": 32, "in_chans": 3, "num_classes": 10}
    assert resnet.on_data("cifar10:x", **shape).baseline.stem == "cifar"
    assert resnet.on_data("cifar10:x", **shape, settings={"stem": "imagenet"}).baseline.stem == "imagenet"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"axes": {"pos_embd": ("none",)}}, "did you mean 'pos_embed'"),
        ({"axes": {"train.lrr": (1,)}}, "did you mean 'lr'"),
        ({"axes": {"training.lr": (1,)}}, "did you mean 'train'"),
        ({"axes": {"pos_embed": ("nope",)}}, "unknown pos_embed 'nope'"),
        ({"axes": {"pos_embed": "none"}}, "takes a tuple"),
        ({"axes": {"pos_embed": ()}}, "takes a tuple"),
        ({"axes": {"depth": (2, 2)}}, "names a value twice"),
        ({"axes": {"img_size": (16,)}}, "belongs to the data set"),
        ({"axes": {"measure.threads": (1, 2)}}, "share one timing session"),
        ({"question": " "}, "is empty"),
        ({"design": "gird"}, "did you mean 'grid'"),
        ({"seeds": 0}, "seeds=0"),
        ({"references": (ResNetConfig(depth=18), ResNetConfig(depth=18, stem="cifar"))}, "same name"),
    ],
)
def test_a_mistake_is_named(changes, words):
    with pytest.raises(ConfigError) as caught:
        ablation(**changes)
    assert words in str(caught.value)


def claim(**changes):
    return Claim("c", **{"metric": "accuracy", "source": "s", **changes})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "takes one form"),
        ({"better": 1, "than": 2, "equal": (1, 2)}, "takes one form"),
        ({"better": 1}, "go together"),
        ({"along": "depth"}, "go together"),
        ({"along": "depth", "exponent": (2, 1)}, "(low, high)"),
        ({"better": 1, "than": 2, "margin": 0.1}, "goes with equal="),
        ({"equal": (1, 2), "margin": 0.0}, "above 0"),
        ({"metric": "acuracy", "better": 1, "than": 2}, "did you mean 'accuracy'"),
    ],
)
def test_a_claim_takes_exactly_one_form(changes, words):
    with pytest.raises(ConfigError) as caught:
        claim(**changes)
    assert words in str(caught.value)


def test_a_claim_names_variants_that_exist():
    axes = {"depth": (2, 4), "num_heads": (2, 4)}
    ablation(axes=axes, claims=(claim(better="baseline", than="depth=2"), claim(along="depth", exponent=(0, 1))))
    assert ablation(axes=axes, claims=(claim(better=4, than="depth=2"),)).variant(4).is_baseline
    assert ablation(axes={"depth": (2, 3), "num_heads": (2, 3)}, design="grid").variant("depth=2,num_heads=3")
    assert ablation(axes={"depth": (2, 4), "num_heads": (3,)}).variant(4).is_baseline
    assert ablation(axes={"depth": (6, 8), "num_heads": (6,)}, baseline=ViTConfig(depth=8)).variant(8).is_baseline
    assert (
        ablation(axes={"depth": (12, 2), "num_heads": (3,)}, baseline=ViTConfig(num_heads=2)).variant(2).name
        == "depth=2"
    )
    with pytest.raises(ConfigError, match="could be depth=2, num_heads=2"):
        ablation(axes=axes, claims=(claim(better="baseline", than=2),))
    with pytest.raises(ConfigError, match="unknown variant 'depth=3'"):
        ablation(axes=axes, claims=(claim(better="depth=3", than="baseline"),))
    with pytest.raises(ConfigError, match="unknown axis 'dpth'"):
        ablation(axes=axes, claims=(claim(along="dpth", exponent=(0, 1)),))
    with pytest.raises(ConfigError, match="compares baseline with itself"):
        ablation(axes=axes, claims=(claim(better="baseline", than="depth=4"),))


def test_a_name_keeps_its_meaning_wherever_the_baseline_is():
    made = ablation(
        axes={"depth": (2, 4), "train.lr": (0.001, 0.002)}, references={"cnn": ResNetConfig()}, combined={"wide": {}}
    )
    moved = made.with_settings({"depth": 2, "train.lr": 0.001})
    for wanted, at_first, after in (
        ("depth=4", "baseline", "depth=4"),
        ("depth=2", "depth=2", "baseline"),
        ("cnn,train.lr=0.001", "cnn,train.lr=0.001", "cnn"),
        ("cnn,train.lr=0.002", "cnn", "cnn,train.lr=0.002"),
        ("cnn", "cnn", "cnn"),
        ("wide", "wide", "wide"),
    ):
        assert (made.variant(wanted).name, moved.variant(wanted).name) == (at_first, after)
    assert made.variant("train.lr=0.002,depth=4").is_baseline
    with pytest.raises(ConfigError, match="unknown variant 'train"):
        moved.variant("train.lr=0.002,depth=4")  # both differ from the baseline, and no row changes both


def test_names_and_families_of_references():
    assert model_name(ResNetConfig(depth=None, layers=(1, 1), block="basic", width=16)) == "resnet_1-1_w16"
    assert model_name(ExternalConfig("a.b:c")) == "a.b:c"
    assert [family(m) for m in (BASE, ResNetConfig(), ExternalConfig("a.b:c"))] == ["ViT", "ResNet", "a.b:c"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("depth=6", ("depth", 6)),
        ("train.lr=1e-3", ("train.lr", 1e-3)),
        ("pos_embed=none", ("pos_embed", "none")),
        ("patch_size=(2, 4)", ("patch_size", (2, 4))),
        ("qkv_bias=False", ("qkv_bias", False)),
    ],
)
def test_settings_are_read_from_the_command_line(text, expected):
    assert parse_setting(text) == expected


@pytest.mark.parametrize("text", ["depth", "=3", "depth="])
def test_a_setting_without_name_or_value_is_refused(text):
    with pytest.raises(UserError, match="--set depth=6"):
        parse_setting(text)


CNN = ResNetConfig(depth=None, layers=(1,), block="basic", width=8)


def test_references_vary_along_axes_of_data_and_training_but_not_of_the_model():
    a = ablation(
        axes={"data.per_class": (None, 10), "train.lr": (0.002, 0.1), "depth": (4, 2)}, references={"cnn": CNN}
    )
    assert names(a) == [
        *("baseline", "data.per_class=10", "train.lr=0.1", "depth=2"),
        *("cnn", "cnn,data.per_class=10", "cnn,train.lr=0.1"),
    ]
    rows = {v.name: v for v in a.variants()}
    few = rows["cnn,data.per_class=10"]
    assert (few.data, few.train, few.reference) == (DataConfig(per_class=10), TrainConfig(), "cnn")
    assert few.axes == {"data.per_class": 10, "train.lr": 0.002}
    assert few.model == rows["cnn"].model
    assert {v.model.depth for v in a.variants() if not v.is_reference} == {4, 2}


def test_rows_that_differ_in_the_amount_of_data_lie_on_one_curve():
    a = ablation(
        axes={"data.fraction": (0.1, 1.0), "depth": (2, 4)}, references={"cnn": CNN}, design="grid", data_settings=HALF
    )
    curves = {}
    for v in a.variants():
        curves.setdefault(v.curve, []).append(v.data.fraction)
    assert curves == {"vit_p2_d48_l4": [0.5, 0.1, 1.0], "depth=2": [0.1, 1.0], "cnn": [0.5, 0.1, 1.0]}


HALF = DataConfig(fraction=0.5)


@pytest.mark.parametrize(
    ("data", "images"),
    [
        (DataConfig(), 1077),
        (DataConfig(fraction=0.1), 108),
        (DataConfig(per_class=3), 30),
        (DataConfig(per_class=999), 1077),
    ],
)
def test_images_that_a_row_sees(data, images):
    (row,) = ablation(data_settings=data).variants()
    assert row.images(1077, 10) == images


def test_a_combined_row_changes_several_settings_at_once():
    a = ablation(
        axes={"depth": (4, 2)},
        combined={"wide": {"embed_dim": 96, "train.lr": 0.01}, "odd": {"embed_dim": 50}},
        claims=(claim(better="wide", than=2),),
    )
    assert names(a) == ["depth=4", "depth=2", "wide", "odd"]
    wide, odd = a.variants()[2:]
    assert (wide.model.embed_dim, wide.model.depth, wide.train.lr) == (96, 4, 0.01)
    assert wide.axes == {"depth": 4, "embed_dim": 96, "train.lr": 0.01}
    assert a.columns == {"depth": (4, 2), "embed_dim": (48, 96, 50), "train.lr": (0.002, 0.01)}
    assert "does not divide embed_dim=50" in odd.reason
    assert names(ablation(combined={"deep": {"depth": 9}})) == ["baseline", "deep"]


TAUGHT = {"train.distillation": "soft", "train.teacher": "variant:cnn"}


def test_a_row_can_be_the_teacher_of_others_and_is_not_taught_itself():
    a = ablation(combined={"soft": TAUGHT}, references={"cnn": CNN})
    assert [(v.name, v.needs) for v in a.variants()] == [("baseline", {}), ("soft", {"teacher": "cnn"}), ("cnn", {})]
    everyone = ablation(train=TrainConfig(distillation="hard", teacher="variant:cnn"), references={"cnn": CNN})
    assert [v.needs for v in everyone.variants()] == [{"teacher": "cnn"}, {}]
    assert everyone.variants()[1].train == TrainConfig()


def test_the_pupil_of_an_impossible_teacher_is_impossible():
    rows = ablation(combined={"soft": TAUGHT}, references={"cnn": ViTConfig()}).variants()
    assert rows[1].reason == f"its teacher cnn is impossible: {rows[2].reason}"


LOW = {"low": {"data.scale": 0.5}, "after": {"train.init_from": "variant:low", "train.epochs": 0}}


def test_a_row_at_another_resolution_gets_a_model_for_it_and_another_one_can_start_from_that():
    rows = {v.name: v for v in ablation(combined=LOW, references={"cnn": CNN}).variants()}
    sides = {name: row.model.img_size for name, row in rows.items()}
    assert sides == {"baseline": 8, "low": 4, "after": 8, "cnn": 8}
    assert (rows["after"].needs, rows["after"].files, rows["after"].train.epochs) == ({"init_from": "low"}, (), 0)
    axis = ablation(axes={"data.scale": (1.0, 2.0, 0.75)}, references={"cnn": CNN}).variants()
    assert [v.model and v.model.img_size for v in axis] == [8, 16, 6, 8, 16, 6]
    assert {v.curve for v in axis[:3]} == {axis[0].curve}


def test_a_resolution_that_the_patches_do_not_divide_takes_those_along_who_start_from_it():
    rows = ablation(combined={**LOW, "low": {"data.scale": 5 / 8}}).variants()
    assert "5" in rows[1].reason
    assert rows[2].reason == f"what it starts from, low is impossible: {rows[1].reason}"


def test_rows_that_need_each_other_in_two_roles_are_found_out():
    everyone = {
        "a": {"train.init_from": "variant:b"},
        "b": {"train.distillation": "soft", "train.teacher": "variant:c"},
        "c": {"train.init_from": "variant:a"},
    }
    with pytest.raises(ConfigError, match=r"needs . needs . needs .: a variant cannot wait for itself"):
        ablation(combined=everyone)


def test_checkpoints_and_external_models_are_sources():
    a = ablation(
        axes={"train.init_from": (None, "a.pth")},
        combined={"soft": {"train.distillation": "soft", "train.teacher": "b.pth"}},
        references=(ExternalConfig("a.b:c"),),
    )
    assert a.sources == ("a.b:c", "a.pth", "b.pth")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"axes": {"data.fractoin": (0.1,)}}, "did you mean 'fraction'"),
        ({"axes": {"data.fraction": (0.0,)}}, "fraction=0.0 is not a fraction"),
        ({"axes": {"data.per_class": (0,)}}, "per_class=0 is too small"),
        ({"combined": {"x": {"dept": 3}}}, "did you mean 'depth'"),
        ({"combined": {"x": {"img_size": 3}}}, "belongs to the data set"),
        ({"combined": {"cnn": {"depth": 3}}, "references": {"cnn": CNN}}, "two variants are called 'cnn'"),
        ({"combined": {"x": TAUGHT}, "references": {"cnm": CNN}}, "did you mean 'cnm'"),
        ({"combined": {"x": TAUGHT | {"train.teacher": "variant:x"}}}, "x needs x: a variant cannot wait for itself"),
        ({"combined": {"x": {"train.init_from": "variant:y"}}}, "x has init_from='variant:y': unknown variant 'y'"),
        ({"combined": {"x": {"train.epochs": 0}}}, "epochs=0"),
        ({"combined": {"x": {"data.scale": 0.0}}}, "scale=0.0"),
        ({"tuning": Tuning(tries=2), "axes": {"train.lr": (0.1,)}}, "is tuned for every variant by tuning=…"),
        (
            {"tuning": Tuning(tries=2), "combined": {"x": {"train.weight_decay": 0.1}}},
            "is tuned for every variant by tuning=…",
        ),
    ],
)
def test_a_mistake_in_rows_or_data_is_named(changes, words):
    with pytest.raises(ConfigError) as caught:
        ablation(**changes)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"tries": 0}, "tries=0 is too small"),
        ({"tries": 2, "lr": (0.1, 0.01)}, "lr=(0.1, 0.01) is not a range"),
        ({"tries": 2, "weight_decay": (0.0, 0.01)}, "both above 0"),
        ({"tries": 2, "per": "famly"}, "did you mean 'family'"),
    ],
)
def test_a_tuning_that_cannot_be_is_named(values, words):
    with pytest.raises(ConfigError) as caught:
        Tuning(**values)
    assert words in str(caught.value)
