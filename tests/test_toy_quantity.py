"""A quantity of one's own: the declaration and the measuring function below reach table and report by themselves.

The test copies this file beside an ablation file, which registers the quantity. Nothing in the package is touched.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from vitbench.declare import quantities
from vitbench.declare.quantities import Column, Quantity
from vitbench.declare.quantities.column import with_interval
from vitbench.run.measuring_functions import Measured

pytestmark = pytest.mark.slow

SEEDS = 4
WEIGHT_NORM = Quantity(
    kind="weight_norm",
    measure="toy_quantity:measure_weight_norm",
    order=15,
    components=("models",),
    uses_device=False,
    columns=with_interval(
        Column(name="weight_norm", path="samples.norm", title="Norm of the weights", better="lower"), optional=True
    ),
    estimate="windows",
    compare="ratio",
    section="Initial weights",
    note="The Euclidean norm of all weights of a new model.",
    takes=0.5,
)


def norms(config):
    """Of the weights of new models, one for each seed."""
    from vitbench import models

    found = []
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        weights = [p.detach().double().flatten() for p in models.build(config).parameters()]
        found.append(float(torch.cat(weights).norm()))
    return found


def measure_weight_norm(trial, on):
    """The measuring function: runs in a worker."""
    (variant,) = trial.variants
    on(variant.name)
    return [Measured(variant.name, samples={"norm": {"unit": "1", "values": norms(variant.model)}})]


ABLATION = '''"""Do wider models start with larger weights?"""
from toy_quantity import WEIGHT_NORM
from vitbench import Ablation, TrainConfig, ViTConfig
from vitbench.declare.quantities import register

register(WEIGHT_NORM)
ABLATION = Ablation(
    question="Do wider models start with larger weights?",
    baseline=ViTConfig(img_size=8, patch_size=4, in_chans=1, num_classes=10, embed_dim=16, depth=1, num_heads=2),
    axes={"embed_dim": (16, 32)},
    train=TrainConfig(epochs=1),
    seeds=1,
)
'''


@pytest.fixture
def registry(monkeypatch):
    """Vitbench's own quantities but for the slow ones, and as many after the test as before."""
    few = {kind: quantities.BUILT_IN[kind] for kind in ("cost", "accuracy")}
    monkeypatch.setattr(quantities, "_registered", few)


@pytest.mark.usefixtures("registry")
def test_a_quantity_of_ones_own_reaches_table_and_report(tmp_path, monkeypatch, capsys):
    from vitbench.ablate import main
    from vitbench.declare import discovery

    shutil.copy(__file__, tmp_path / "toy_quantity.py")
    (tmp_path / "widths.py").write_text(ABLATION)
    monkeypatch.chdir(tmp_path)
    assert main(["./widths.py", "--results", "out"]) == 0
    assert "weight_norm" not in quantities.BUILT_IN
    assert "2 variants, 1 seed, 6 trials to run" in capsys.readouterr().out

    variants = discovery.load("./widths.py").ablation.variants()
    truth = {variant.name: np.mean(norms(variant.model)) for variant in variants}
    table = pd.read_csv("out/table.csv").set_index("variant")
    assert table["weight_norm"].to_dict() == pytest.approx(truth)
    assert (table["weight_norm_low"] < table["weight_norm"]).all()
    assert (table["weight_norm"] < table["weight_norm_high"]).all()
    assert table["status"].tolist() == ["ok", "ok"]

    said = Path("out/report.md").read_text()
    section = said.partition("## Initial weights")[2].partition("\n## ")[0]
    assert WEIGHT_NORM.note in section
    wide, base = truth["embed_dim=32"], truth["embed_dim=16"]
    assert f"{wide / base:.3f}" in section
    assert "Initial weights" in Path("out/report.html").read_text()

    Path("toy_quantity.py").unlink()
    before = {name: Path("out", name).read_bytes() for name in ("table.csv", "table.tex", "report.md", "report.html")}
    for name in before:
        Path("out", name).unlink()
    code = (
        "import importlib.util, sys; assert importlib.util.find_spec('toy_quantity') is None; "
        "from vitbench.report.__main__ import main; sys.exit(main(['out']))"
    )
    again = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (again.returncode, again.stderr) == (0, "")
    assert {name: Path("out", name).read_bytes() for name in before} == before
