"""Ids and settings over the years: a new knob that is off changes nothing, and an older version's folder goes on."""

import dataclasses
from pathlib import Path

import pytest

from vitbench.declare.ablation import Ablation
from vitbench.declare.data import DataConfig
from vitbench.declare.external import ExternalConfig
from vitbench.declare.measure import MeasureConfig
from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.serialize import as_dict, completed, defaults, essence, from_dict
from vitbench.declare.train import TrainConfig
from vitbench.declare.tuning import Tuning
from vitbench.declare.vit import ViTConfig
from vitbench.records.identity import VERSIONS, identity
from vitbench.records.reader import read
from vitbench.run.planning.plan import check_settings, make_plan
from vitbench.run.planning.recorded import batched
from vitbench.run.planning.trials import Survey
from vitbench.utils.errors import UserError

EARLIER = Path(__file__).parent / "earlier_version"

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
    ("cls", "pinned", "rooms"),
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
def test_defaults_are_pinned_because_ids_do_not_cover_them(cls, pinned, rooms):
    """Whoever changes a default raises the room's number in ``VERSIONS``, and writes both here; a new knob is off."""
    assert defaults(cls) == pinned
    assert {room: VERSIONS[room] for room in rooms} == rooms


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


@pytest.mark.parametrize("knob", ["compile", "optimizer", "teacher"])
def test_what_an_earlier_version_had_no_knob_for_gives_the_same_id(knob):
    before = {name: value for name, value in as_dict(TrainConfig(lr=0.1)).items() if name != knob}
    common = {"kind": "accuracy", "config": as_dict(ViTConfig()), "rooms": ("train",), "seed": 0}
    old = identity(**common, train=before)
    assert identity(**common, train=as_dict(TrainConfig(lr=0.1))) == old
    assert identity(**common, train=as_dict(TrainConfig(lr=0.1)) | {knob: "something else"}) != old


def test_two_classes_of_config_never_share_an_id():
    common = {"kind": "cost", "rooms": ("models",)}
    assert identity(config=as_dict(ViTConfig()), **common) != identity(config=as_dict(ResNetConfig()), **common)


@pytest.fixture
def then(monkeypatch):
    """As when the room of measurements had its first number."""
    set_versions(monkeypatch, VERSIONS | {"measure": 1})


def set_versions(monkeypatch, versions):
    monkeypatch.setattr("vitbench.run.planning.trial.WINDOWS", 2)  # of a throughput
    for module in ("vitbench.records.identity", "vitbench.run.planning.recorded"):
        monkeypatch.setattr(f"{module}.VERSIONS", versions)


def earlier(name):
    """Records without their numbers, the ablation as it was declared then, and what it ran on."""
    records = read(EARLIER / name)
    plan = next(r for r in reversed(records) if r.kind == "plan")
    assert "ids" not in plan.code
    declared = Ablation(
        question="?",
        baseline=from_dict(plan.config),
        axes={axis: tuple(values) for axis, values in plan.values["axes"].items()},
        references={v["name"]: from_dict(v["config"]) for v in plan.values["variants"] if v["is_reference"]},
        seeds=plan.values["seeds"],
    )
    return records, declared, Survey(device="cpu", data=plan.values["data"], torch={})


@pytest.mark.parametrize("name", ["pos_embed", "vit_vs_resnet"])
@pytest.mark.usefixtures("then")
def test_a_folder_of_an_earlier_version_goes_on_and_measures_nothing_twice(name):
    """These folders were made before ``train.optimizer``, ``pos_embed_at`` and 20 other knobs existed."""
    records, declared, survey = earlier(name)
    now = make_plan(declared, survey, name=name, seeds=6, records=records)
    assert [trial.kind for trial in now.trials] == ["ceiling"]  # which that version did not measure
    assert (now.copies, now.failures) == ((), ())
    assert len(now.reused) == len(now.variants) * (2 + 6) + 3
    check_settings(now, records, EARLIER / name)
    more = make_plan(declared, survey, name=name, seeds=7, records=records)
    assert more.counts == {"ceiling": 1, "accuracy": len(now.variants)}


@pytest.mark.usefixtures("then")
def test_a_knob_that_the_earlier_version_had_not_is_refused_where_it_is_on():
    records, declared, survey = earlier("pos_embed")
    changed = dataclasses.replace(declared, train=TrainConfig(mixup=0.8), data_settings=DataConfig(fraction=0.5))
    made = make_plan(changed, survey, name="pos_embed", seeds=1, records=records)
    with pytest.raises(UserError, match=r"data.fraction=1.0, you asked for 0.5; train.mixup=0.0, you asked for 0.8"):
        check_settings(made, records, EARLIER / "pos_embed")
    assert made.counts == {"ceiling": 1, "accuracy": 5}


def test_what_rests_on_a_room_whose_numbers_changed_is_measured_anew(monkeypatch):
    records, declared, survey = earlier("pos_embed")
    set_versions(monkeypatch, VERSIONS | {"measure": 1, "train": 2})
    counts = make_plan(declared, survey, name="pos_embed", seeds=6, records=records).counts
    assert counts == {"ceiling": 1, "accuracy": 30}


def test_copies_of_a_session_arrive_as_a_session():
    records, _, _ = earlier("pos_embed")
    timed = [r for r in records if r.kind == "latency"]
    counted = [r for r in records if r.kind == "cost"]
    rows = batched([timed[0], counted[0], timed[1]])
    assert [r.kind for r in rows] == ["latency", "latency", "cost"]
    assert [r.settings.get("session_size") for r in rows] == [2, 2, None]
