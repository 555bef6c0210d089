"""``python -m vitbench.trace``: its output, the files that it writes, and its answers to bad input."""

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vitbench.__main__ import COMMANDS
from vitbench.trace import display
from vitbench.trace.__main__ import Options, folder_of, main
from vitbench.trace.figures import draw
from vitbench.trace.summary import Summary


def line(name, ms, **rest):
    return {"name": name, "ms": ms, "share": ms / 40, "per_step_ms": [ms], **rest}


SUMMARY = Summary(
    model="net|work",
    scope={"mode": "train_step", "batch_size": 8},
    steps=1,
    step_ms=[40.0],
    gpu_busy=None,
    parts=[line("mlp", 30.0), line("other", 10.0)],
    phases=[line("forward", 15.0), line("backward", 25.0)],
    operations=[
        line("aten::addmm", 31.0, calls=4.0, flops=2_500_000_000),
        line("aten::add", 9.0, calls=2.5, flops=None),
    ],
    blocks=[
        line("blocks.0", 10.0, forward_ms=4.0, backward_ms=6.0),
        line("blocks.1", 20.0, forward_ms=8.0, backward_ms=12.0),
    ],
    memory={
        "peak": 3 * 2**20, "held": 2**20, "step": 0, "timeline": [(0.0, 2**20), (1.0, 3 * 2**20), (2.0, 2**20)],
        "phases": [("forward", 0.0, 1.0), ("backward", 1.0, 2.0)],
    },
    flops=2_500_000_000,
    flops_counted=None,
    trace="vitbench.1.pt.trace.json",
)  # fmt: skip


def shown(capsys, form):
    display.write(SUMMARY, form)
    return capsys.readouterr().out


def test_the_tables_of_the_terminal(capsys):
    text = shown(capsys, "table")
    words = [line.split() for line in text.splitlines()]
    for row in (
        ["MLP", "75.0%", "30"],
        ["all", "100.0%", "40"],
        ["backward", "62.5%", "25"],
        ["aten::addmm", "77.5%", "31", "4", "2.5"],
        ["aten::add", "22.5%", "9", "2.5"],
        ["blocks.0", "25.0%", "10", 20 * "█"],
        ["blocks.1", "50.0%", "20", 40 * "█"],
    ):
        assert row in words
    notes = text.partition("memory: ")[2]
    assert "peak 3.0 MiB, of which 1.0 MiB" in notes
    assert "2.5 GFLOP by torch's counter, unknown to vitbench.measure.count" in notes


def test_markdown_has_the_same_tables_and_the_notes_as_a_list(capsys):
    lines = shown(capsys, "markdown").splitlines()
    assert [lines[i - 2] for i, text in enumerate(lines) if text.startswith("| --- |")][1:] == [""] * 3
    assert "| blocks.0 | 25.0% | 10 | " + 20 * "█" + " |" in lines
    assert any(text.startswith("- memory: peak") for text in lines)


def test_csv_has_a_line_for_every_row_at_full_precision(capsys):
    rows = list(csv.DictReader(io.StringIO(shown(capsys, "csv"))))
    assert [row["table"] for row in rows] == ["part"] * 2 + ["phase"] * 2 + ["operation"] * 2 + ["block"] * 2
    assert [row["flops"] for row in rows] == ["", "", "", "", "2500000000", "", "", ""]
    assert float(rows[7]["backward_ms"]) == 12


def test_figures_show_the_numbers_and_a_figure_without_data_goes(tmp_path):
    draw(SUMMARY.blocks, SUMMARY.memory, tmp_path)
    names = {f"{figure}.{suffix}" for figure in ("blocks", "memory") for suffix in ("svg", "png")}
    assert {path.name for path in tmp_path.iterdir()} == names
    draw([], SUMMARY.memory, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"memory.svg", "memory.png"}


def run(*argv):
    return main([*argv, "--steps", "1", "--batch-size", "2", "--img-size", "8"])


def test_the_command_writes_the_folder_and_prints_tables(nets, capsys):
    assert run(f"{nets}:build") == 0
    shown = capsys.readouterr().out
    folder = Path("results/trace/planted_nets-build")
    summary = json.loads((folder / "summary.json").read_text())
    figures = {f"{figure}.{suffix}" for figure in ("blocks", "memory") for suffix in ("svg", "png")}
    assert {path.name for path in folder.iterdir()} == figures | {"summary.json", summary["trace"]}
    assert re.fullmatch(r"vitbench\.\d+\.pt\.trace\.json", summary["trace"])
    for words in (f"tensorboard --logdir {folder}", "attention", "MLP", "100.0%", "aten::addmm", "memory: peak"):
        assert words in shown
    assert len(summary["step_ms"]) == summary["steps"] == 1
    assert summary["flops"] == summary["flops_counted"] > 0


def test_json_on_the_terminal_is_the_summary_of_the_folder(nets, capsys):
    assert run(f"{nets}:build", "--format", "json", "--mode", "train_step", "--out", "here") == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == json.loads(Path("here/summary.json").read_text())
    assert "tensorboard --logdir here" in err


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], ["which model?", "vit_base_patch16_224"]),
        (["vit_base_patch16_225"], ["did you mean 'vit_base_patch16_224'?"]),
        (["resnet50", "--steps", "0"], ["--steps 0"]),
        (["resnet50", "--batch-size", "0"], ["batch_size=0"]),
        (["resnet50", "--device", "tpu"], ["'tpu'", "cpu"]),
        (["resnet50", "--mode", "backward"], ["backward", "train_step"]),
        (["planted_nets:raising", "--img-size", "8"], ["planted_nets:raising cannot be traced", "it is Monday"]),
        (["planted_nets:unknown_number", "--img-size", "8"], ["NaN"]),
        (["torch.nn:Flatten", "--img-size", "8", "--mode", "train_step"], ["no parameters to train"]),
        (
            ["torch.nn:Flatten", "--img-size", "8", "--out", "planted_nets.py"],
            ["planted_nets.py cannot be made", "--out"],
        ),
    ],
)
def test_bad_input_is_answered_in_one_sentence(nets, argv, words, capsys):
    assert main(argv) == 2
    out, err = capsys.readouterr()
    said = [text for text in err.splitlines() if not text.startswith("USDT:")]
    assert out == ""
    assert len(said) == 1
    assert all(word in said[0] for word in words), err


def test_folders_are_named_after_model_and_mode(tmp_path):
    assert folder_of(Options(model="timm:vit_tiny")) == Path("results/trace/timm-vit_tiny")
    assert folder_of(Options(model="resnet50", mode="train_step")) == Path("results/trace/resnet50-train_step")
    assert folder_of(Options(model="resnet50", out=tmp_path)) == tmp_path


def test_help_loads_no_torch_and_the_command_is_a_subcommand():
    assert COMMANDS["trace"][0] == "vitbench.trace.__main__"
    code = """
import sys
from vitbench.trace.__main__ import main
try:
    main(["--help"])
except SystemExit:
    pass
print(sorted({"torch", "pandas", "matplotlib"} & set(sys.modules)))"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "[]"
