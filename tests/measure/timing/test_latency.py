"""compare: the table, the verdicts, the scope, and one live check that a real difference is found."""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd
import pytest
import torch
from torch import nn

from vitbench.measure.timing.latency import CONTROL, Comparison, compare
from vitbench.utils.errors import ConfigError

COLUMNS = [
    "variant",
    "latency_ms",
    "latency_ratio",
    "latency_ratio_low",
    "latency_ratio_high",
    "latency_verdict",
]


class Clock:
    """Advanced by the callables that run on it, so that every ratio is exact."""

    def __init__(self):
        self.now = 0.0
        self.calls = 0

    def __call__(self):
        return self.now

    def model(self, seconds, jitter=0.01):
        def call(example):
            self.calls += 1
            self.now += seconds * math.exp(jitter * math.sin(self.calls * self.calls))
            return example

        return call


def compared(seconds, jitter=0.01, **settings):
    clock = Clock()
    models = {name: clock.model(s, jitter) for name, s in zip("abcdef", seconds, strict=False)}
    return compare(models, torch.zeros(4, 3), baseline="a", timer=clock, **settings)


def test_table_has_the_columns_and_the_truth():
    found = compared((0.010, 0.012, 0.005, 0.010))
    table = found.table().set_index("variant")
    assert list(found.table().columns) == COLUMNS
    assert list(table.index) == ["a", "b", "c", "d"]
    assert table.loc["b", "latency_ratio"] == pytest.approx(1.2, rel=0.01)
    assert table.loc["b", "latency_verdict"].startswith("slower by 20")
    assert table.loc["c", "latency_verdict"].startswith("faster by 50.")
    assert table.loc["d", "latency_verdict"].startswith("equivalent within ±1%")
    assert (table.latency_ratio_low[1:] < table.latency_ratio[1:]).all()
    assert found.latency_ms("a").value == pytest.approx(10, rel=0.02)
    assert found.latency_ms("a").n == 12


def test_baseline_row_is_no_comparison():
    row = compared((0.010,)).table().iloc[0]
    assert (row.latency_ratio, row.latency_verdict) == (1.0, "baseline")
    assert math.isnan(row.latency_ratio_low)


def test_absolute_latency_is_withheld_at_grade_d_and_ratios_stand():
    found = compared((0.010, 0.012))
    quiet = replace(found, scope={**found.scope, "grade": "B"}).table()
    loud = replace(found, scope={**found.scope, "grade": "D"}).table()
    assert quiet.latency_ms.tolist() == pytest.approx([10, 12], rel=0.02)
    assert loud.latency_ms.isna().all()
    pd.testing.assert_frame_equal(quiet.drop(columns="latency_ms"), loud.drop(columns="latency_ms"))


def test_scope_says_where_it_holds():
    found = compared((0.010, 0.012))
    assert found.scope.pop("grade") in {"A", "B", "C", "D", "not available"}
    assert found.scope == {
        "device": "cpu",
        "dtype": "float32",
        "batch_size": 4,
        "threads": 1,
        "mode": "forward",
        "placement": "own",
        "allocator": "as it comes",
        "blocks": 12,
        "stopped": "target reached",
    }


def test_budget_bounds_the_blocks():
    assert compared((0.5, 0.5), budget_s=1).scope["blocks"] == 6
    assert compared((0.001, 0.001), budget_s=10, jitter=0.3, target=0.001).scope["blocks"] > 12


def test_a_failed_control_withholds_verdicts():
    found = compared((0.010, 0.012))
    broken = replace(found.session, control=found.session.samples["b"])
    assert found.valid
    assert not replace(found, session=broken).valid


def test_a_wide_interval_is_inconclusive():
    found = compared((0.010, 0.010), jitter=0.3, target=0.001)
    assert "(target ±0.1%)" in found.table().latency_verdict[1]


def test_samples_are_raw_and_hold_the_control():
    found = compared((0.010, 0.012))
    assert set(found.samples) == {"a", "b", CONTROL}
    assert found.samples[CONTROL].wall.shape == (12, 12)


def test_reads_well():
    text = str(compared((0.010, 0.012)))
    assert "slower by " in text
    assert "A/A control held; noise floor ±" in text
    assert "threads 1" in text


def test_threads_are_set_for_the_call_and_put_back():
    seen = []

    def spy(x):
        seen.append(torch.get_num_threads())
        return x

    before = torch.get_num_threads()
    compare({"a": spy}, torch.zeros(1), baseline="a", threads=2, budget_s=0.1)
    assert set(seen) == {2}
    assert torch.get_num_threads() == before


def test_an_unknown_baseline_is_answered_with_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'resnet'"):
        compare({"resnet": nn.Identity()}, torch.zeros(1), baseline="resnt")
    with pytest.raises(ConfigError, match="none exist"):
        compare({}, torch.zeros(1), baseline="a")


def mlp(depth, width=256):
    return nn.Sequential(*[layer for _ in range(depth) for layer in (nn.Linear(width, width), nn.GELU())])


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["forward", "train_step"])
def test_four_times_the_depth_is_found_live(mode):
    """No time is asserted, and no width: the machine may be busy.

    Whatever else runs, four times the work is slower; by how much has no bound above, where a call outlasts its share
    of the core and a shorter one does not. A control that failed says so, and is tried again.
    """
    models = {"one": mlp(2), "four": mlp(8), "same": mlp(2)}
    runs: list[Comparison] = []

    def found(kind):
        return [run for run in runs if run.valid and run.ratios["four"].verdict.kind == kind]

    while not found("slower") and len(runs) < 10:
        runs.append(compare(models, torch.randn(64, 256), baseline="one", budget_s=2, seed=len(runs), mode=mode))
    (last,) = found("slower")
    assert found("faster") == []
    assert last.ratios["four"].high > 1.5
    assert last.ratios["same"].low < 1.25
    assert last.ratios["same"].high > 0.8
    assert last.samples["one"].cold_ms > 0
