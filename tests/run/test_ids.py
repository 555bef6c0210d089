"""Ids and settings: a new option that is off changes no id, and copies of a session are written together."""

import dataclasses

import pytest

from vitbench.declare.data import DataConfig
from vitbench.declare.external import ExternalConfig
from vitbench.declare.measure import MeasureConfig
from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.serialize import as_dict, completed, defaults, essence
from vitbench.declare.train import TrainConfig
from vitbench.declare.tuning import Tuning
from vitbench.declare.vit import ViTConfig
from vitbench.records.identity import VERSIONS, identity
from vitbench.records.record import Record
from vitbench.run.planning.recorded import batched

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
    """Whoever changes a default raises the component's ``VERSIONS``, and writes both here; a new option is off."""
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
    short = essence(whole)
    assert short["type"] == type(config).__name__
    assert {name: whole[name] for name in short} == short
    kept = {f.name for f in dataclasses.fields(config)} - short.keys()
    assert all(whole[name] == defaults(type(config))[name] for name in kept)
    assert completed(short) == whole
    assert essence(completed(short)) == short
    assert completed({"train": short, "device": "cpu"}) == {"train": whole, "device": "cpu"}


@pytest.mark.parametrize("option", ["compile", "optimizer", "teacher"])
def test_a_new_option_that_is_off_gives_the_same_id(option):
    before = {name: value for name, value in as_dict(TrainConfig(lr=0.1)).items() if name != option}
    common = {"kind": "accuracy", "config": as_dict(ViTConfig()), "components": ("train",), "seed": 0}
    old = identity(**common, train=before)
    assert identity(**common, train=as_dict(TrainConfig(lr=0.1))) == old
    assert identity(**common, train=as_dict(TrainConfig(lr=0.1)) | {option: "something else"}) != old


def test_two_classes_of_config_never_share_an_id():
    common = {"kind": "cost", "components": ("models",)}
    assert identity(config=as_dict(ViTConfig()), **common) != identity(config=as_dict(ResNetConfig()), **common)


def test_copies_of_a_session_arrive_as_a_session():
    timed = [Record(id=f"t{i}", ablation="a", kind="latency", variant=f"v{i}", session="s") for i in range(2)]
    counted = Record(id="c", ablation="a", kind="cost", variant="v0")
    rows = batched([timed[0], counted, timed[1]])
    assert [r.kind for r in rows] == ["latency", "latency", "cost"]
    assert [r.settings.get("session_size") for r in rows] == [2, 2, None]
