"""``python -m vitbench.measure``: the table in its formats, failures as rows, mistakes as sentences."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys

import pandas as pd
import pytest

from vitbench.declare.external import ExternalConfig
from vitbench.declare.measure import MeasureConfig
from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.vit import ViTConfig
from vitbench.declare.zoo import zoo
from vitbench.measure import count, memory, side_by_side
from vitbench.measure.__main__ import main
from vitbench.measure.side_by_side import COLUMNS
from vitbench.models.by_name import config_of
from vitbench.tables.columns import COLUMNS as TABLE_COLUMNS
from vitbench.utils.errors import UserError

SETTINGS = MeasureConfig(batch_size=2, blocks=6, cycles=1, warmup_s=0.05)
CNN = ResNetConfig(depth=None, layers=(1, 1), block="basic", width=8, img_size=32, in_chans=1, num_classes=10)
TINY = ViTConfig(img_size=8, patch_size=4, in_chans=1, num_classes=10, embed_dim=32, depth=1, num_heads=2)
MODULE = '''
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, num_classes=3, width=8, depth=1):
        super().__init__()
        parts = [nn.Conv2d(3 if i == 0 else width, width, 3, padding=1) for i in range(depth)]
        self.parts = nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, num_classes))

    def forward(self, x):
        return self.parts(x)


class Raises(Net):
    def forward(self, x):
        raise ValueError("it is Monday")


class Later(Net):
    """Goes wrong once it has been called a few times: in the session."""
    def forward(self, x):
        if x.device.type == "cpu" and type(x).__name__ == "Tensor":
            calls.append(1)
            if len(calls) > 4:
                raise RuntimeError("worn out")
        return super().forward(x)


class Hungry(Net):
    def forward(self, x):
        if type(x).__name__ == "Tensor" and x.device.type == "cpu" and not torch.jit.is_tracing():
            raise MemoryError
        return super().forward(x)


calls = []
'''


@pytest.fixture
def nets(tmp_path, monkeypatch):
    """A module of models in the folder in which one stands."""
    (tmp_path / "odd_nets.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(side_by_side, "WINDOW_S", 0.05)
    yield "odd_nets"
    sys.modules.pop("odd_nets", None)


def measured(models, **settings):
    return side_by_side.side_by_side(models, SETTINGS, **{"budget_s": 1.0, **settings})


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(side_by_side, "WINDOW_S", 0.05)


@pytest.mark.slow
def test_numbers_are_those_of_the_measurements(quick):
    models = {"vit": TINY, "resnet": CNN}
    found = measured(models)
    table = found.table().set_index("variant")
    assert list(table.index) == ["vit", "resnet"]
    assert found.failed == 0
    for name, config in models.items():
        counts, row = count(config), table.loc[name]
        assert (row.params, row.macs, row.flops, row.activations) == (
            counts.params,
            counts.macs,
            2 * counts.macs,
            counts.activations,
        )
        for mode, training in (("inference", False), ("training", True)):
            peak = memory(config, batch_size=2, training=training).bytes
            assert row[f"peak_memory_{mode}_mib"] == peak / 2**20
        assert row.throughput_img_s > 0
        assert tuple(row[["status", "device", "dtype", "threads", "batch_size"]]) == ("ok", "cpu", "float32", 1, 2)
    assert table.img_size.tolist() == ["8", "32"]
    assert table.latency_ratio["vit"] == 1
    assert table.latency_ratio_verdict["vit"] == "baseline"
    assert table.latency_ratio_low["resnet"] < table.latency_ratio["resnet"] < table.latency_ratio_high["resnet"]


def test_columns_are_named_as_in_an_ablations_table():
    own = {"img_size", "device", "dtype", "threads", "grade"}
    assert {name for name, _ in COLUMNS} - own <= {column.name for column in TABLE_COLUMNS}


def test_a_large_model_gets_fewer_cycles_not_more_time(quick):
    found = measured({"vit": TINY}, budget_s=0.001)
    assert found.compared.samples["vit"].wall.shape == (6, 2)


@pytest.mark.slow
def test_a_model_that_fails_is_a_row_with_its_reason(nets):
    models = {name: ExternalConfig(f"{nets}:{name}", img_size=8, num_classes=3) for name in ("Net", "Raises", "Hungry")}
    table = measured(models).table().set_index("variant")
    assert table.status.to_dict() == {"Net": "ok", "Raises": "failed", "Hungry": "oom"}
    assert "ValueError: it is Monday" in table.reason["Raises"]
    assert "forward: " in table.reason["Hungry"]
    assert table.params["Raises"] is pd.NA
    assert table.params["Hungry"] == table.params["Net"]
    assert table.latency_ratio.isna().tolist() == [False, True, True]


def test_a_first_model_that_wears_out_leaves_the_others_comparable(nets):
    models = {name: ExternalConfig(f"{nets}:{name}", img_size=8, num_classes=3) for name in ("Later", "Net")}
    found = measured(models)
    assert found.rows["Later"]["status"] == "failed"
    assert "worn out" in found.rows["Later"]["reason"]
    assert found.rows["Net"]["latency_ratio_verdict"] == "baseline"
    assert found.compared.session.baseline == "Net"


def test_nothing_can_be_timed(nets, capsys):
    assert main([f"{nets}:Raises", "--img-size", "8"]) == 1
    *_, reason, last = capsys.readouterr().out.splitlines()
    assert reason.startswith("odd_nets:Raises failed: cost: ")
    assert "it is Monday" in reason
    assert last == "no model could be timed"


def test_a_missing_library_says_which_extra_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "timm", None)
    assert main(["timm:convnext_tiny"]) == 2
    assert "pip install 'vitbench[timm]'" in capsys.readouterr().err


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """The command in its own process, once a format."""
    place = tmp_path_factory.mktemp("models")
    (place / "odd_nets.py").write_text(MODULE)

    def run(form, *models):
        names = models or ("odd_nets:Net", "odd_nets:Net")
        code = "import sys; from vitbench.measure import side_by_side as s; s.WINDOW_S = .05\n"
        code += "from vitbench.measure.__main__ import main; sys.exit(main(sys.argv[1:]))"
        argv = [*names, "--img-size", "8", "--batch-size", "2", "--budget", "0.5", "--format", form]
        return subprocess.run(
            [sys.executable, "-c", code, *argv],
            capture_output=True,
            text=True,
            cwd=place,
            env={"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin"},
            check=False,
        )

    return run


@pytest.mark.slow
def test_csv_is_data_and_the_scope_goes_elsewhere(command):
    done = command("csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert done.returncode == 0
    assert [row["variant"] for row in rows] == ["odd_nets:Net", "odd_nets:Net #2"]
    assert list(rows[0]) == [name for name, _ in COLUMNS]
    assert rows[0]["params"] == str(3 * 8 * 9 + 8 + 8 * 1000 + 1000)
    assert "A/A control" in done.stderr
    assert "\x1b" not in done.stderr


@pytest.mark.slow
def test_json_is_data_and_table_markdown_and_latex_are_for_readers(nets, capsys):
    def shown(form):
        argv = [f"{nets}:Net", "--img-size", "8", "--batch-size", "2", "--budget", "0.2", "--format", form]
        assert main(argv) == 0
        return capsys.readouterr()

    (row,) = json.loads(shown("json").out)
    assert row["macs"] == 8 * 8 * 3 * 8 * 9 + 8 * 1000
    assert row["latency_ratio_low"] is None
    table = shown("table").out
    assert "Peak memory" in table
    assert "device cpu, dtype float32, batch size 2, threads 1" in table
    lines = shown("markdown").out.splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert lines[1].startswith("| --- |")
    latex = shown("latex").out
    assert latex.startswith("\\begin{tabular}{lr")
    assert "odd\\_nets:Net" in latex
    assert latex.count("\\\\") == 2


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["vit_base_patch16_225"], ["'vit_base_patch16_225'", "did you mean 'vit_base_patch16_224'?"]),
        ([], ["no model given", "resnet50"]),
        (["resnet50", "--format", "yaml"], ["yaml", "markdown"]),
        (["vit_base_patch16_224", "--img-size", "100"], ["patch_size=16 does not divide img_size=100"]),
        (["resnet50", "--batch-size", "0"], ["batch_size=0"]),
        (["resnet50", "--device", "tpu"], ["'tpu'", "cpu"]),
        (["resnet50", "--budget", "0"], ["--budget 0"]),
        (["timm:"], ["timm:NAME"]),
        (["no_such_nets:tiny"], ["no module 'no_such_nets'"]),
        (["torch.nn:Linnear"], ["did you mean 'Linear'?"]),
        (["resnet50", "--dtype", "float3"], ["float32"]),
    ],
)
def test_a_mistake_is_one_sentence(argv, words, capsys):
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert all(word in err for word in words), err


def test_configs_are_found_by_name():
    assert config_of("resnet18") == zoo("resnet18")
    assert config_of("resnet18", 64).img_size == 64
    assert config_of("resnet18", 32).stem == "imagenet"  # the model that was named, not one fitted to small images
    assert config_of("torch.nn:Flatten", 8) == ExternalConfig("torch.nn:Flatten", img_size=8)
    with pytest.raises(UserError, match="did you mean"):
        config_of("resnet19")
