"""Several processes that timed one session become one result, whose units they are."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from vitbench import ablate
from vitbench.declare.measure import MeasureConfig
from vitbench.records.reader import read
from vitbench.run import execute
from vitbench.run.executors.job import Result
from vitbench.run.measuring_functions import Measured
from vitbench.run.timing_sessions import cycles_of, merge_processes
from vitbench.tables.compare import comparisons
from vitbench.tables.study import read_study
from vitbench.utils.errors import ConfigError


def result(blocks, seed):
    wall = np.full((blocks, 4), float(seed))
    values = {"cold_ms": 1.0, "batch_size": 8}
    about = {"seed": seed, "looks": (2,), "pressure": [0.1] * blocks, "block_seconds": [1.0] * blocks}
    rows = [
        Measured("a", values, {"wall": {"unit": "s", "values": wall}}),
        Measured("a", values | about, {"wall": {"unit": "s", "values": wall * 2}}, control=True),
    ]
    return Result(status="ok", value=rows, seconds=2.0)


def test_the_result_of_one_process_is_unchanged():
    one = result(3, 1)
    assert merge_processes([one]) is one
    assert cycles_of(one) == 2


def test_samples_are_concatenated_and_units_counted():
    found = merge_processes([result(3, 1), result(2, 5)])
    row, control = found.value
    assert row.samples["wall"]["values"].tolist() == [[1.0] * 4] * 3 + [[5.0] * 4] * 2
    assert row.values == {"cold_ms": 1.0, "batch_size": 8, "processes": [3, 2]}
    assert control.values["seed"] == [1, 5]
    assert control.values["looks"] == (2,)
    assert control.values["pressure"] == [0.1] * 5
    assert control.values["processes"] == [3, 2]
    assert control.control
    assert found.seconds == 4.0


def test_two_processes_are_refused():
    with pytest.raises(ConfigError, match="it takes 1, or 3 and more"):
        MeasureConfig(processes=2)


def test_publish_is_three_processes():
    assert ablate.settings_from(ablate.Options(publish=True)) == {"measure.processes": 3}
    assert ablate.settings_from(ablate.Options(publish=True, set=("measure.processes=5",))) == {"measure.processes": 5}
    assert ablate.settings_from(ablate.Options()) == {}


@pytest.mark.slow
def test_a_published_sweep_has_three_units(sweep_of, folder, shared):
    ablation = sweep_of("good", "sociable")
    ablation = dataclasses.replace(ablation, measure=dataclasses.replace(ablation.measure, processes=3, looks=1))
    results = folder / "results"
    kinds = ("latency", "train_step")
    outcome = execute(ablation, name="three", directory=results, executor=shared, kinds=kinds)
    assert (outcome.failed, outcome.done) == (0, 2)
    records = [r for r in read(results) if r.kind in {"latency", "latency_control", "train_step"}]
    assert all(r.values["processes"] == [2, 2, 2] for r in records)
    control = next(r for r in records if r.kind == "latency_control")
    assert len(set(control.values["seed"])) == 3
    assert (
        control.values["order"][0] != control.values["order"][2]
        or control.values["order"][0] != control.values["order"][4]
    )
    found = comparisons(read_study(results))
    assert set(found[found["metric"] == "latency_ms"]["n"]) == {3}
