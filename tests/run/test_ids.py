"""Ids of records: what is at its default takes no part, so that a new setting that is off changes no id."""

import copy
import dataclasses

import pytest

from tests.run.planning.test_plan import planned, records_of
from vitbench.declare import quantities
from vitbench.declare.ablation import Ablation
from vitbench.declare.data import DataConfig
from vitbench.declare.external import ExternalConfig
from vitbench.declare.measure import MeasureConfig
from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.serialize import as_dict, defaults, non_default_fields, with_defaults
from vitbench.declare.train import TrainConfig
from vitbench.declare.tuning import Tuning
from vitbench.declare.vit import ViTConfig
from vitbench.records.identity import VERSIONS, identity
from vitbench.records.record import Record
from vitbench.run.planning.plan import check_settings, make_plan
from vitbench.run.planning.reuse import group_sessions
from vitbench.run.planning.trials import Preflight
from vitbench.utils.errors import UserError

VIT = {
    "img_size": 224,
    "patch_size": 16,
    "in_chans": 3,
    "num_classes": 1000,
    "embed_dim": 768,
    "depth": 12,
    "num_heads": 12,
    "mlp_ratio": 4.0,
    "qkv_bias": True,
    "pos_embed": "learned",
    "pos_embed_std": 0.02,
    "pos_embed_at": "stem",
    "patch_norm": False,
    "pool": "cls",
    "num_registers": 0,
    "distilled": False,
    "representation_size": None,
    "stem": "patchify",
    "hybrid_layers": [3, 4, 9],
    "hybrid_width": 64,
    "norm": "layernorm",
    "norm_position": "pre",
    "norm_eps": 1e-6,
    "act": "gelu",
    "mlp": "mlp",
    "qk_norm": False,
    "qk_scale": None,
    "attention": "sdpa",
    "attn_mask": "none",
    "residual": True,
    "layer_scale": None,
    "drop_rate": 0.0,
    "attn_drop_rate": 0.0,
    "drop_path_rate": 0.0,
    "drop_path_schedule": "linear",
    "init": "timm",
}
RESNET = {
    "depth": 50,
    "layers": None,
    "block": None,
    "width": 64,
    "stem": "imagenet",
    "norm": "batchnorm",
    "residual": True,
    "padding": "zeros",
    "variant": "plain",
    "img_size": 224,
    "in_chans": 3,
    "num_classes": 1000,
}
TRAIN = {
    "epochs": 20,
    "batch_size": 32,
    "lr": 2e-3,
    "weight_decay": 0.05,
    "warmup_fraction": 0.1,
    "betas": [0.9, 0.98],
    "label_smoothing": 0.1,
    "clip_grad_norm": 1.0,
    "shift_px": 0,
    "flip": True,
    "precision": "auto",
    "optimizer": "adamw",
    "momentum": 0.9,
    "mixup": 0.0,
    "cutmix": 0.0,
    "crop": "none",
    "crop_scale": [0.08, 1.0],
    "rand_augment": 0,
    "rand_magnitude": 9,
    "erase": 0.0,
    "ema": 0.0,
    "accumulate": 1,
    "compile": False,
    "layer_decay": 1.0,
    "init_from": None,
    "teacher": None,
    "distillation": "none",
    "distillation_alpha": 0.5,
    "distillation_tau": 3.0,
}
MEASURE = {
    "batch_size": 8,
    "dtype": "float32",
    "threads": 1,
    "blocks": 12,
    "cycles": 6,
    "target": 0.02,
    "looks": 4,
    "budget_s": 60.0,
    "placement": "own",
    "processes": 1,
    "warmup_s": 2.0,
    "compile": False,
    "channels_last": False,
    "checkpoint_activations": False,
    "resident": False,
}
EXTERNAL = {"kwargs": {}, "img_size": 224, "in_chans": 3, "num_classes": 1000}
DATA = {"fraction": 1.0, "per_class": None, "same_steps": False, "scale": 1.0}
TUNING = {"lr": [2e-4, 2e-2], "weight_decay": [1e-3, 0.5], "seeds": 1, "per": "family"}


@pytest.mark.parametrize(
    ("cls", "pinned", "components"),
    [
        (ViTConfig, VIT, {"models": 1}),
        (ResNetConfig, RESNET, {"models": 1}),
        (ExternalConfig, EXTERNAL, {"models": 1}),
        (TrainConfig, TRAIN, {"train": 1}),
        (MeasureConfig, MEASURE, {"measure": 3}),
        (DataConfig, DATA, {"data": 1}),
        (Tuning, TUNING, {}),
    ],
)
def test_defaults_are_pinned_because_ids_do_not_cover_them(cls, pinned, components):
    """Whoever changes a default raises the number of its component in ``VERSIONS``, and writes both here."""
    assert defaults(cls) == pinned
    assert {name: VERSIONS[name] for name in components} == components


CONFIGS = [
    ViTConfig(img_size=8, patch_size=2, hybrid_layers=(1, 2)),
    ResNetConfig(depth=None, layers=(1, 2), block="basic"),
    ExternalConfig("a.b:c", {"width": 3}),
    TrainConfig(lr=0.1, betas=(0.9, 0.9)),
    MeasureConfig(threads=2),
    DataConfig(per_class=3),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: type(c).__name__)
def test_a_configs_essence_is_what_differs_from_the_defaults(config):
    whole = as_dict(config)
    short = non_default_fields(whole)
    assert short["type"] == type(config).__name__
    assert {name: whole[name] for name in short} == short
    kept = {f.name for f in dataclasses.fields(config)} - short.keys()
    assert all(whole[name] == defaults(type(config))[name] for name in kept)
    assert with_defaults(short) == whole
    assert non_default_fields(with_defaults(short)) == short
    assert with_defaults({"train": short, "device": "cpu"}) == {"train": whole, "device": "cpu"}


@pytest.mark.parametrize("knob", ["compile", "optimizer", "teacher"])
def test_a_new_setting_at_its_default_changes_no_id(knob):
    before = {name: value for name, value in as_dict(TrainConfig(lr=0.1)).items() if name != knob}
    common = {"kind": "accuracy", "config": as_dict(ViTConfig()), "components": ("train",), "seed": 0}
    old = identity(**common, train=before)
    assert identity(**common, train=as_dict(TrainConfig(lr=0.1))) == old
    assert identity(**common, train=as_dict(TrainConfig(lr=0.1)) | {knob: "something else"}) != old


def test_two_classes_of_config_never_share_an_id():
    common = {"kind": "cost", "components": ("models",)}
    assert identity(config=as_dict(ViTConfig()), **common) != identity(config=as_dict(ResNetConfig()), **common)


def test_a_setting_that_a_record_lacks_had_its_default(tmp_path):
    """A folder that was written before a setting existed goes on as long as the setting is off."""
    ablation = Ablation(question="?", baseline=ViTConfig(img_size=8, in_chans=1, num_classes=10, patch_size=4))
    data = {"name": "digits", "version": "1", "img_size": 8, "in_chans": 1, "num_classes": 10, "num_train": 1077}
    made = make_plan(ablation, Preflight(device="cpu", data=data, torch={}), name="x", seeds=1)
    settings = copy.deepcopy(made.settings)
    for part, name in (("train", "mixup"), ("data", "fraction"), ("baseline", "depth")):
        del settings[part][name]
    record = Record(id="a", ablation="x", kind="plan", variant="", settings=settings)
    check_settings(made, [record], tmp_path)
    changed = dataclasses.replace(ablation, train=TrainConfig(mixup=0.8), data_settings=DataConfig(fraction=0.5))
    with pytest.raises(UserError, match=r"data.fraction=1.0, you asked for 0.5; train.mixup=0.0, you asked for 0.8"):
        check_settings(dataclasses.replace(made, ablation=changed), [record], tmp_path)


@pytest.mark.parametrize(
    ("component", "kinds"),
    [("train", {"accuracy"}), ("measure", {*quantities.kinds("variant", "session", "machine")})],
)
def test_what_rests_on_a_component_whose_version_changed_is_measured_again(component, kinds, monkeypatch):
    before = {t.kind: t.id(t.variants[0]) for t in planned().trials}
    monkeypatch.setattr("vitbench.records.identity.VERSIONS", VERSIONS | {component: 99})
    after = {t.kind: t.id(t.variants[0]) for t in planned().trials}
    assert {kind for kind in before if before[kind] != after[kind]} == kinds


def test_copies_of_a_session_are_written_together_with_their_number():
    session, *_ = [t for t in planned().trials if t.kind == "latency"]
    one, other = records_of(session)
    (counted,) = records_of(planned().trials[0])
    rows = group_sessions([one, counted, other])
    assert [r.kind for r in rows] == ["latency", "latency", "cost"]
    assert [r.settings.get("session_size") for r in rows] == [2, 2, None]
