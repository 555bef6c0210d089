"""What the read wing says of a session, again from its raw calls: level, drift, grade, phases, processes."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.made_records import Made
from vitbench import report, stats, tables
from vitbench.report.caveats import timing_caveats
from vitbench.report.elements import plain
from vitbench.tables.compare import comparisons
from vitbench.tables.frames import table, timings
from vitbench.tables.study import read_study

VARIANTS = [{"name": "base"}, {"name": "slow"}]
BLOCKS = 18
ABOUT = {
    "looks": [12, 18],
    "stop_reason": "target reached",
    "level": 0.965,
    "placement": "own",
    "allocator": "as it comes",
    "pressure": [0.1] * BLOCKS,
    "block_seconds": [2.0] * BLOCKS,
}


def made(folder, *, about=ABOUT, kinds=("latency", "train_step"), **settings):
    one = Made(folder, VARIANTS)
    for variant in ("base", "slow"):
        one.accuracy(variant, [0.9] * 6)
    for kind in kinds:
        one.timing({"base": 0.010, "slow": 0.012}, kind=kind, session=kind, blocks=BLOCKS, about=about, **settings)
    for variant, rate in (("base", 100.0), ("slow", 80.0)):
        one.throughput(variant, [rate, rate * 1.01, rate * 0.99, rate * 1.005], session="t")
    return one


def row(study, metric="latency_ms"):
    found = comparisons(study)
    return found[(found["metric"] == metric) & (found["variant"] == "slow")].iloc[0]


def test_a_session_that_was_looked_at_is_judged_at_its_nominal_level(tmp_path):
    made(tmp_path / "looks")
    made(tmp_path / "none", about=None)
    new, old = (row(read_study(tmp_path / name)) for name in ("looks", "none"))
    assert (new["level"], old["level"]) == (0.965, 0.95)
    assert new["n"] == old["n"] == BLOCKS
    assert new["kind"] == "slower"


def test_a_ratio_that_drifts_is_inconclusive(tmp_path):
    made(tmp_path, slopes={"slow": 0.004})
    assert row(read_study(tmp_path))["verdict"] == "inconclusive: unstable, the ratio drifts with time"


def test_absolute_latency_is_withheld_at_grade_d(tmp_path):
    made(tmp_path, about=ABOUT | {"pressure": [0.7] * BLOCKS})
    study = read_study(tmp_path)
    assert timings(study).empty
    rows = table(study)
    assert rows["latency_ms"].isna().all()
    assert rows["train_step_ms"].isna().all()
    assert "forward_ms" not in rows
    assert rows["latency_ratio"][1] == pytest.approx(1.2, rel=0.01)


def test_phases_add_up_to_the_training_step(tmp_path):
    made(tmp_path)
    rows = table(read_study(tmp_path))
    parts = rows[["forward_ms", "backward_ms", "optimizer_ms"]]
    assert parts.sum(axis=1).tolist() == pytest.approx(rows["train_step_ms"].tolist())
    assert (parts["forward_ms"] / rows["train_step_ms"]).tolist() == pytest.approx([0.5, 0.5])
    assert parts["forward_ms"][0] == pytest.approx(5, rel=0.05)


def test_without_recorded_phases_there_are_no_columns(tmp_path):
    made(tmp_path, about=None)
    assert "forward_ms" not in table(read_study(tmp_path))


def test_throughput_has_an_interval_from_three_windows_on(tmp_path):
    made(tmp_path)
    rows = table(read_study(tmp_path))
    interval = stats.mean_interval(np.log([100, 101, 99, 100.5]))
    assert rows["throughput_img_s_low"][0] == pytest.approx(np.exp(interval.low))
    assert rows["throughput_img_s_high"][0] == pytest.approx(np.exp(interval.high))
    assert rows["throughput_img_s"][0] == pytest.approx(np.exp(interval.value))


def test_of_several_processes_each_is_a_unit(tmp_path):
    sizes = (5, 6, 7)
    made(tmp_path, processes=sizes, about=ABOUT | {"looks": [[], [], []]})
    study = read_study(tmp_path)
    found = row(study)
    assert (found["n"], found["level"]) == (3, 0.95)
    session = next(study.sessions("latency"))
    logs = stats.log_ratio_blocks(*(session[name].samples["wall"]["values"] for name in ("slow", "base")))
    means = [part.mean() for part in np.split(logs, [5, 11])]
    assert found["value"] == pytest.approx(np.exp(np.mean(means)))
    assert found["low"] == pytest.approx(np.exp(stats.mean_interval(means).low))
    assert timings(study)["n"].tolist() == [3, 3]


def test_the_report_says_how_it_was_timed(tmp_path):
    made(tmp_path / "one")
    made(tmp_path / "three", processes=(5, 6, 7), about=ABOUT | {"looks": [[], [], []]})
    made(tmp_path / "loud", about=ABOUT | {"pressure": [0.7] * BLOCKS})
    texts = {}
    for name in ("one", "three", "loud"):
        report.write(tmp_path / name)
        texts[name] = (tmp_path / name / "report.md").read_text()
    assert "18 blocks of 6 mirrored cycles; interim looks after 12, 18 blocks; target reached" in texts["one"]
    assert "nominal level 96.5%, which is 95% after these looks" in texts["one"]
    assert "3 processes, one after another, each of them a unit: 5, 6, 7 blocks" in texts["three"]
    assert "(99%, 3 processes)" in texts["three"]
    assert "averaged over 3 processes" in texts["three"]
    assert "| 3 processes |" in texts["three"]
    assert "averaged over 18 blocks" in texts["one"]
    assert "D; absolute latencies are withheld, ratios are valid" in texts["loud"]


def test_a_stall_and_an_order_effect_are_named(tmp_path):
    made(tmp_path)
    study = read_study(tmp_path)
    session = next(study.sessions("latency"))
    calls = np.array(session["slow"].samples["wall"]["values"])
    calls[:, 1::2] *= 1.1
    calls[3, 4] = 2.0
    session["slow"].samples["wall"]["values"] = calls.tolist()
    said = [plain(phrase) for phrase in timing_caveats(study)]
    interference = "Interference between variants: the latency ratio of slow differs by a factor of"
    assert any(line.startswith(interference) for line in said)
    assert any("1 of 216 calls (latency) took over 10 times the median, up to 2 s" in line for line in said)
    assert tables.load(tmp_path)["latency_ratio"][1] == pytest.approx(1.2, rel=0.01)
