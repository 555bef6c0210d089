"""The main command, as a stranger types it: what it prints, leaves behind, refuses, and goes on with."""

import json
import re
import shutil
import subprocess
import sys

import pandas as pd
import pytest

from vitbench.ablate import Options, main, training_from
from vitbench.declare import discovery
from vitbench.declare.recipes import recipe

TINY = '''"""Does depth help?

    python -m vitbench.ablate tiny        # seconds

Expected: nothing, in one epoch.
"""
from vitbench import Ablation, Claim, MeasureConfig, TrainConfig, ViTConfig

ABLATION = Ablation(
    question="Does depth help?",
    baseline=ViTConfig(img_size=8, patch_size=4, in_chans=1, num_classes=10, embed_dim=16, depth=1, num_heads=2),
    axes={"depth": (1, 2), "num_heads": (3,)},
    claims=(
        Claim("two blocks beat one", metric="accuracy", better=2, than="baseline", source="us"),
        Claim("MACs grow with depth", metric="macs", along="depth", exponent=(0.5, 1.0), source="arithmetic"),
    ),
    train=TrainConfig(epochs=1),
    measure=MeasureConfig(blocks=2, cycles=1, warmup_s=0.1),
    seeds=2,
)
'''


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ablations").mkdir()
    (tmp_path / "ablations" / "tiny.py").write_text(TINY)
    return tmp_path


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of the tiny ablation, made once by the command in a process of its own."""
    place = tmp_path_factory.mktemp("run")
    (place / "tiny.py").write_text(TINY)
    command = [sys.executable, "-m", "vitbench.ablate", "./tiny.py", "--results", str(place / "out")]
    return place, subprocess.run(command, capture_output=True, text=True, cwd=place, check=False)


@pytest.fixture
def copied(finished, here, warm):
    """The finished run's folder where the command finds it."""
    shutil.copytree(finished[0] / "out", here / "results" / "tiny")
    return here / "results" / "tiny"


def refused(argv, capsys):
    """The one sentence that a request is refused with."""
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    (line,) = err.strip().splitlines()
    return line


@pytest.mark.slow
def test_a_run_leaves_table_figures_and_report(finished):
    place, ran = finished
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    assert (place / "out" / "report.html").is_file()
    assert (place / "out" / "report.md").read_text().startswith("# Does depth help?")
    assert {path.suffix for path in (place / "out" / "figures").iterdir()} == {".svg", ".png"}
    table = pd.read_csv(place / "out" / "table.csv")
    assert dict(zip(table["variant"], table["status"], strict=True)) == {
        "baseline": "ok",
        "depth=2": "ok",
        "num_heads=3": "skipped",
    }
    assert table["accuracy"].notna().tolist() == [True, True, False]
    assert (table["macs"].dropna() * 2 == table["flops"].dropna()).all()


@pytest.mark.slow
def test_it_prints_a_line_a_trial_then_the_table(finished):
    lines = finished[1].stdout.splitlines()
    assert lines[0] == "tiny: 2 variants, 2 seeds, 12 trials to run, 1 impossible and skipped"
    assert re.fullmatch(r"\[12/12\] accuracy .* seed 1: \d+\.\d% in \d+ s", lines[12])
    assert any(line.startswith("depth=2") and "exploratory: 2 seeds" in line for line in lines)
    assert lines[-1].endswith("report.html")


@pytest.mark.slow
def test_again_measures_nothing_twice(copied, capsys):
    before = (copied / "records.jsonl").read_text()
    assert main(["tiny"]) == 0
    assert "12 reused" in capsys.readouterr().out
    now = (copied / "records.jsonl").read_text()
    assert now.startswith(before)
    assert {json.loads(line)["kind"] for line in now[len(before) :].splitlines()} <= {"plan"}


@pytest.mark.slow
def test_other_settings_are_refused_and_nothing_is_lost(copied, capsys):
    before = (copied / "records.jsonl").read_text()
    line = refused(["tiny", "--epochs", "2"], capsys)
    assert "train.epochs=1, you asked for 2" in line
    assert "--results OTHER" in line
    assert "--fresh" in line
    assert (copied / "records.jsonl").read_text() == before


@pytest.mark.slow
def test_a_foreign_line_is_named_and_nothing_is_lost(copied, capsys):
    path = copied / "records.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], "hello\n", *lines[1:]]))
    line = refused(["tiny"], capsys)
    assert "records.jsonl" in line
    assert "line 2" in line
    assert path.read_text() == "".join([lines[0], "hello\n", *lines[1:]])


@pytest.mark.slow
def test_a_torn_last_line_is_set_aside_and_measured_again(copied, capsys):
    path = copied / "records.jsonl"
    whole = path.read_text()
    path.write_text(whole[:-40])
    assert main(["tiny"]) == 0
    assert "note: " in capsys.readouterr().out
    assert (copied / "records.torn.jsonl").is_file()
    accuracies = [json.loads(line)["values"]["accuracy"] for line in whole.splitlines() if '"kind":"accuracy"' in line]
    again = path.read_text().splitlines()
    assert sorted(json.loads(x)["values"]["accuracy"] for x in again if '"kind":"accuracy"' in x) == sorted(accuracies)


@pytest.mark.slow
def test_a_budget_ends_a_run_that_goes_on_later(here, warm, capsys):
    argv = ["tiny", "--seeds", "1"]
    assert main([*argv, "--budget", "0.01"]) == 0
    assert "0 trials measured, 1 skipped, 10 left" in capsys.readouterr().out
    assert (here / "results" / "tiny" / "report.html").is_file()
    assert main(argv) == 0
    assert "10 trials measured" in capsys.readouterr().out


@pytest.mark.slow
def test_a_dry_run_writes_nothing(here, warm, capsys):
    assert main(["tiny", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "tiny: 2 variants, 2 seeds, 12 trials to run" in out
    assert "num_heads=3 does not divide embed_dim=16" in " ".join(out.split())
    assert re.search(r"about \d+ s on this machine", out)
    assert not (here / "results").exists()


@pytest.mark.slow
def test_recipe_and_tries_are_the_command_lines(here, warm, capsys):
    argv = ["tiny", "--recipe", "small", "--epochs", "3", "--tries", "4", "--set", "data.fraction=0.5", "--dry-run"]
    assert main(argv) == 0
    out = capsys.readouterr().out
    assert re.search(r"^   4 × accuracy$", out, re.MULTILINE)
    assert "   4 × tuning" in out
    assert "   4 × accuracy, tuned" in out
    assert re.search(r"baseline\s+[\d,]+\s+538\s+baseline", out)
    asked = Options(name="tiny", recipe="small", epochs=3, tries=0)
    declared = discovery.load("tiny").ablation
    assert training_from(asked, declared) == {"train": recipe("small"), "tuning": None}


def test_the_list_shows_ones_own_ablations_first(here, capsys):
    assert main(["--list"]) == 0
    out = capsys.readouterr().out
    assert out.index("tiny (yours)") < out.index("pos_embed")
    assert "Does depth help?" in out


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], ["no ablation given", "pos_embed"]),
        (["pos_embde"], ["did you mean 'pos_embed'?"]),
        (["./nowhere.py"], ["no ablation file", "--list"]),
        (["tiny", "--set", "patch_size=3"], ["patch_size=3 does not divide img_size=8", "1, 2, 4, 8"]),
        (["tiny", "--set", "num_heads=5"], ["num_heads=5 does not divide embed_dim=16"]),
        (["tiny", "--set", "dpth=3"], ["did you mean 'depth'?"]),
        (["tiny", "--set", "img_size=16"], ["--data NAME"]),
        (["tiny", "--set", "depth"], ["--set depth=6"]),
        (["tiny", "--dtype", "float23"], ["did you mean 'float32'?"]),
        (["tiny", "--recipe", "diet"], ["unknown recipe 'diet'", "small, cifar, deit", "did you mean 'deit'?"]),
        (["tiny", "--recipe", "resnet", "--set", "train.optimizer=sdg"], ["did you mean 'sgd'?"]),
        (["tiny", "--tries", "-1"], ["--tries -1", "0 for no tuning"]),
        (["tiny", "--tries", "2", "--set", "data.fraction=2"], ["fraction=2 is not a fraction"]),
        (["regularization", "--tries", "2"], ["'train.weight_decay' is tuned for every variant"]),
        (["tiny", "--epochs", "0"], ["epochs=0", "1 or more"]),
        (["tiny", "--seeds", "0"], ["--seeds 0", "1 or more"]),
        (["tiny", "--seeds", "many"], ["--seeds", "'many'"]),
        (["tiny", "--jobs", "0"], ["--jobs 0", "1 or more"]),
        (["tiny", "--timeout", "0"], ["--timeout 0", "above 0"]),
        (["tiny", "--budget", "0"], ["--budget 0", "above 0"]),
    ],
)
def test_a_request_that_cannot_be_met_is_one_sentence(here, capsys, argv, words):
    line = refused(argv, capsys)
    assert all(word in line for word in words), line
    assert not (here / "results").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["tiny", "--data", "digit"], ["did you mean 'digits'?"]),
        (["tiny", "--data", "folder:nowhere"], ["no folder nowhere"]),
        (["tiny", "--device", "tpu"], ["auto, cpu, cuda"]),
        (["tiny", "--results", "ablations/tiny.py"], ["ablations/tiny.py"]),
    ],
)
def test_what_only_a_worker_can_refuse_is_one_sentence_too(here, warm, capsys, argv, words):
    line = refused(argv, capsys)
    assert all(word in line for word in words), line


@pytest.mark.slow
def test_a_failed_trial_ends_in_status_1_and_is_shown(here, warm, capsys):
    text = TINY.replace("ViTConfig\n", "ExternalConfig, ViTConfig\n", 1).replace(
        "    claims=(", '    references=(ExternalConfig("faults:raises"),),\n    claims=('
    )
    (here / "ablations" / "tiny.py").write_text(text)
    assert main(["tiny", "--seeds", "1"]) == 1
    out = capsys.readouterr().out
    assert "IndexError" in out
    assert "FAILED" in out
    table = pd.read_csv(here / "results" / "tiny" / "table.csv").set_index("variant")
    assert table["status"]["faults:raises"] == "failed"
    assert "IndexError" in table["reason"]["faults:raises"]
    assert table["status"]["depth=2"] == "ok"
