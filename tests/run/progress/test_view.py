"""How a run looks: lines in a log, a bar in a terminal, and what the time went into."""

import dataclasses
import io

import pytest
from rich.console import Console

from vitbench.declare.ablation import Ablation
from vitbench.declare.vit import ViTConfig
from vitbench.records.record import Record
from vitbench.run import Outcome, Progress
from vitbench.run.planning.plan import make_plan
from vitbench.run.planning.trials import Preflight
from vitbench.run.progress.view import LiveView, PlainView, duration, spent

TINY = ViTConfig(img_size=8, patch_size=4, in_chans=1, num_classes=10, embed_dim=16, depth=1, num_heads=2)
DATA = {"name": "digits", "version": "1", "img_size": 8, "in_chans": 1, "num_classes": 10, "num_train": 10}
PLAN = make_plan(
    Ablation(question="?", baseline=TINY, axes={"num_heads": (2, 3)}),
    Preflight(device="cpu", data=DATA, torch={}),
    name="heads",
    seeds=1,
)
TRAINING = PLAN.trials[-1]


def record(**changes):
    return Record(
        **{
            "id": "1",
            "ablation": "heads",
            "kind": "accuracy",
            "variant": "num_heads=2",
            "seconds": 5.0,
            "values": {"accuracy": 0.875},
            **changes,
        }
    )


def watched(view, console):
    """What a view prints of a run of one training."""
    view.planned(PLAN)
    view.started(TRAINING)
    view.progress(Progress(done=5, total=7, failed=0, running=(TRAINING,), remaining_s=61.0))
    view.finished(TRAINING, [record()])
    view.finished(TRAINING, [record(status="failed", reason="out of [red]luck")])
    view.note("a [bold] note")
    view.close()
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (310, "5 min 10 s"), (7500, "2 h 05 min")],
)
def test_durations(seconds, words):
    assert duration(seconds) == words


def test_a_log_has_a_line_a_trial():
    console = Console(file=io.StringIO(), width=200)
    assert watched(PlainView(console), console).splitlines() == [
        "heads: 1 variant, 1 seed, 7 trials to run, 1 impossible and skipped",
        "[6/7] accuracy num_heads=2 seed 0: 87.5% in 5 s, about 1 min 01 s left",
        "[6/7] accuracy num_heads=2 seed 0: failed: out of [red]luck, about 1 min 01 s left",
        "note: a [bold] note",
    ]


def test_a_terminal_has_a_bar_and_keeps_what_failed(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    console = Console(file=io.StringIO(), width=200, force_terminal=True, color_system=None)
    out = watched(LiveView(console), console)
    assert "5/7 about 1 min 01 s left accuracy num_heads=2 seed 0" in out
    assert "failed: out of [red]luck" in out
    assert "87.5%" not in out


def test_nothing_redraws_the_bar_by_itself():
    view = LiveView(Console(file=io.StringIO(), force_terminal=True))
    assert not view.bar.live.auto_refresh
    view.close()


def test_where_the_time_went():
    seconds = {"start-up": 4.0, "timing": 30.0, "accuracy": 160.0, "around accuracy": 4.0, "total": 198.0}
    outcome = Outcome(done=43, reused=0, failed=1, skipped=2, left=0, interrupted=False, seconds=seconds)
    assert spent(outcome, reporting_s=2.0) == (
        "43 trials measured, 2 skipped, 1 FAILED in 3 min 20 s (start-up 4 s, timing 30 s, accuracy 2 min 40 s, "
        "around accuracy 4 s, report 2 s, 5% neither training nor measuring)"
    )
    assert spent(dataclasses.replace(outcome, left=3), reporting_s=2.0).endswith("; run the same command to resume")
    assert "0 s" in spent(dataclasses.replace(outcome, seconds={}), reporting_s=0.1)
