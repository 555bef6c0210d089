"""A model family from outside the package: declared and registered in one file, measured, trained and reported on."""

import json
import subprocess
import sys
from dataclasses import dataclass

import pandas as pd
import pytest
import torch

from vitbench.declare import families
from vitbench.declare.families import family_of, register
from vitbench.declare.model import Family, ModelConfig
from vitbench.declare.serialize import as_dict, from_dict, non_default_fields, with_defaults
from vitbench.declare.variant import model_name
from vitbench.declare.vit import ViTConfig
from vitbench.measure import count, match
from vitbench.models import build
from vitbench.models.weights import config_from_checkpoint, save_weights
from vitbench.records.identity import digest
from vitbench.utils.errors import ConfigError, UserError

pytestmark = pytest.mark.slow

FAMILY = '''"""A perceptron with one hidden layer."""
from dataclasses import dataclass
from typing import Literal

from vitbench.declare.families import register
from vitbench.declare.model import Family, ModelConfig
from vitbench.declare.sizes import as_pair
from vitbench.models.products import Product


@dataclass(frozen=True, kw_only=True)
class ToyConfig(ModelConfig):
    width: int = 8
    act: Literal["relu", "gelu"] = "relu"

    @property
    def pixels(self):
        height, width = as_pair(self.img_size)
        return self.in_chans * height * width


def build(config):
    from torch import nn

    hidden = nn.Linear(config.pixels, config.width)
    act = nn.ReLU() if config.act == "relu" else nn.GELU()
    return nn.Sequential(nn.Flatten(), hidden, act, nn.Linear(config.width, config.num_classes))


def products(config):
    yield Product(config.width, config.pixels, input_gradient=False)
    yield Product(config.num_classes, config.width)


register(
    Family(
        name="Toy",
        config=ToyConfig,
        label=lambda config: f"toy_w{config.width}",
        build="toy_family:build",
        products="toy_family:products",
    )
)
'''

ABLATION = '''"""Does width help?

    python -m vitbench.ablate toy        # seconds
"""
from toy_family import ToyConfig

from vitbench import Ablation, MeasureConfig, TrainConfig, ViTConfig

ABLATION = Ablation(
    question="Does width help?",
    baseline=ToyConfig(img_size=8, in_chans=1, num_classes=10, width=8),
    axes={"width": (8, 16)},
    references=(ViTConfig(patch_size=4, embed_dim=16, depth=1, num_heads=2),),
    train=TrainConfig(epochs=1),
    measure=MeasureConfig(blocks=2, cycles=1, looks=1, warmup_s=0.1),
    seeds=1,
)
'''


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished run, and the command that made it."""
    place = tmp_path_factory.mktemp("toy")
    (place / "toy_family.py").write_text(FAMILY)
    (place / "toy.py").write_text(ABLATION)
    command = [sys.executable, "-m", "vitbench.ablate", "./toy.py", "--results", "out"]
    return place, subprocess.run(command, capture_output=True, text=True, cwd=place, check=False)


def records(place, kind):
    lines = (place / "out" / "records.jsonl").read_text().splitlines()
    return {r["variant"]: r for r in map(json.loads, lines) if r["kind"] == kind}


@pytest.mark.slow
def test_a_family_from_outside_is_measured_and_trained(finished):
    place, ran = finished
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout + ran.stderr
    table = pd.read_csv(place / "out" / "table.csv").set_index("variant")
    assert table["family"].to_dict() == {"width=8": "Toy", "width=16": "Toy", "vit_p4_d16_l1": "ViT"}
    assert set(table["status"]) == {"ok"}
    for width in (8, 16):
        assert table["macs"][f"width={width}"] == 64 * width + width * 10
        assert table["params"][f"width={width}"] == 65 * width + (width + 1) * 10
    assert table[["peak_memory_training_mib", "accuracy"]].notna().all(axis=None)
    assert table["latency_ratio"].drop("width=8").notna().all()
    assert "Toy" in (place / "out" / "report.md").read_text()


@pytest.mark.slow
def test_its_closed_form_is_one_of_the_methods_that_agree(finished):
    values = records(finished[0], "cost")["width=16"]["values"]
    assert {method: found["macs"] for method, found in values["methods"].items()} == dict.fromkeys(
        ("closed_form", "torch_meta", "fvcore"), 64 * 16 + 160
    )
    assert values["findings"] == []


@pytest.mark.slow
def test_an_id_covers_the_file_that_builds_the_model(finished):
    """Whoever edits the family gets new numbers; those of vitbench's own models are as before."""
    place, _ = finished
    costs = records(place, "cost")
    assert costs["width=8"]["settings"]["source"] == digest((place / "toy_family.py").read_bytes().hex())
    assert "source" not in costs["vit_p4_d16_l1"]["settings"]


@pytest.mark.slow
def test_a_process_of_its_own_knows_the_family(finished):
    """Resident memory and the largest batch are measured in children, which are told a config as JSON."""
    script = """
from toy_family import ToyConfig
from vitbench.declare.measure import MeasureConfig
from vitbench.measure.peak_memory.largest_batch import FITS, _attempt
from vitbench.measure.peak_memory.resident import run_in_child

model, settings = ToyConfig(img_size=8, in_chans=1, num_classes=10), MeasureConfig()
assert run_in_child(model, settings, ("allocated",), device="cpu", training=True)["allocated"] > 0
assert _attempt(model, settings, "cpu", 2, 2**34) == FITS
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, cwd=finished[0], check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_the_report_needs_no_plug_in(finished, tmp_path):
    """Rendered again where the family cannot be imported."""
    place, _ = finished
    out = place / "out"
    made = {name: (out / name).read_bytes() for name in ("table.csv", "report.md", "report.html")}
    (place / "toy_family.py").rename(tmp_path / "elsewhere.txt")
    for name in made:
        (out / name).unlink()
    script = f"""
import importlib.util, sys
assert importlib.util.find_spec("toy_family") is None
from vitbench.report.__main__ import main
status = main([{str(out)!r}])
assert "torch" not in sys.modules
sys.exit(status)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=place, check=False)
    (tmp_path / "elsewhere.txt").rename(place / "toy_family.py")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert {name: (out / name).read_bytes() for name in made} == made


@dataclass(frozen=True, kw_only=True)
class StrangerConfig(ModelConfig):
    width: int = 8


def build_stranger(config):
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, config.width, bias=False))
    model.config = config
    return model


@pytest.fixture
def registered(monkeypatch):
    """The family of ``StrangerConfig``, which declares nothing but how to build it; forgotten after the test."""
    monkeypatch.setattr(families, "_FAMILIES", dict(families._FAMILIES))
    register(Family(name="Stranger", config=StrangerConfig, label=str, build=f"{__name__}:build_stranger"))
    return StrangerConfig(img_size=8, num_classes=8, width=8)


VIT = ViTConfig(img_size=8, patch_size=4, in_chans=1, num_classes=10, embed_dim=16, depth=1, num_heads=2)


@pytest.mark.parametrize(
    "request_of",
    [family_of, model_name, build, count, lambda config: match(config, VIT), lambda config: match(VIT, config)],
    ids=["family_of", "model_name", "build", "count", "match", "match to"],
)
def test_a_config_of_no_family_is_refused_by_name(request_of):
    with pytest.raises(UserError, match=r"StrangerConfig.*expected one of ViTConfig, ResNetConfig, ExternalConfig,"):
        request_of(StrangerConfig())


def test_what_a_family_does_not_declare_is_measured_or_refused(registered):
    """Without a closed form MACs are counted; without sizes nothing can vary."""
    counts = count(registered)
    assert (counts.macs, set(counts.methods)) == (192 * 8, {"torch_meta", "fvcore"})
    assert match(VIT, registered, tolerance=0.5).target == 192 * 8
    assert match(VIT, registered, on="params", tolerance=0.5).target == 192 * 8
    with pytest.raises(UserError, match="StrangerConfig has no size that can vary"):
        match(registered, VIT)


def test_a_checkpoint_holds_the_config_of_a_family_that_is_known(registered, tmp_path, monkeypatch):
    save_weights(build(registered), tmp_path / "w.safetensors")
    assert config_from_checkpoint(tmp_path / "w.safetensors") == registered
    monkeypatch.undo()
    with pytest.raises(UserError, match=r"ViTConfig, ResNetConfig, ExternalConfig exist here"):
        config_from_checkpoint(tmp_path / "w.safetensors")


def test_records_of_an_unknown_family_can_still_be_read():
    values = as_dict(StrangerConfig(width=9))
    assert non_default_fields(values) == with_defaults(values) == values
    with pytest.raises(ConfigError, match="'StrangerConfig'"):
        from_dict(values)


def test_a_name_is_given_once():
    @dataclass(frozen=True, kw_only=True)
    class ViTConfig(ModelConfig):  # as another author might call it
        pass

    with pytest.raises(ConfigError, match=r"ViTConfig exists already, in vitbench\.declare\.vit"):
        register(Family(name="Other", config=ViTConfig, label=str, build="other:build"))


def test_a_family_in_the_ablation_file_itself_is_refused(tmp_path):
    """Workers could not import it: an ablation file is executed, not imported."""
    (tmp_path / "toy.py").write_text(FAMILY)
    command = [sys.executable, "-m", "vitbench.ablate", "./toy.py"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "ToyConfig" in line
    assert "beside the ablation file" in line
