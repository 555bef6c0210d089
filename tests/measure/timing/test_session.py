"""The block protocol on a simulated clock: the very code that times models, on a machine whose truth is known."""

from __future__ import annotations

import gc
import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tests.support.simulated_machine import Machine, Model
from vitbench.measure.timing.session import CONTROL, run_session
from vitbench.measure.timing.subject import Subject, SubjectError
from vitbench.stats import interim_looks, log_ratio_blocks, narrow_enough
from vitbench.utils.errors import ConfigError


def session(machine, seconds=(0.007, 0.007), **settings):
    subjects = {name: Subject(Model(machine, s), None) for name, s in zip("abcdefgh", seconds, strict=False)}
    settings = {"baseline": "a", "blocks": 12, "cycles": 6, "timer": machine, "warmup_s": 0.2} | settings
    return run_session(subjects, **settings)


def test_a_quiet_machine_gives_the_exact_ratio_whatever_the_drift():
    """Without noise, mirrored cycles leave of a drift of 50 % only what is of second order within a cycle."""
    for drift in (0.0, 0.05):
        found = session(Machine(noise=0.0, drift=drift), (0.007, 0.0077, 0.0035))
        assert found.log_ratios("b") == pytest.approx([math.log(1.1)] * 12, abs=2e-4)
        assert found.log_ratios("c") == pytest.approx([math.log(0.5)] * 12, abs=2e-4)
        assert found.control_log_ratios == pytest.approx([0] * 12, abs=2e-4)


def test_layout_is_blocks_by_first_pass_and_mirror():
    found = session(Machine(placement=0.1), (0.007, 0.008), blocks=3, cycles=4)
    assert found.control.wall.shape == found.samples["b"].wall.shape == found.samples["b"].cpu.shape == (3, 8)
    assert [len(block.order) for block in found.blocks] == [4, 4, 4]
    assert all(sorted(names) == [CONTROL, "a", "b"] for block in found.blocks for names in block.order)
    assert len({tuple(names) for block in found.blocks for names in block.order}) > 3


def test_columns_2c_and_2c_plus_1_are_the_two_calls_of_cycle_c():
    """On a clock on which every call takes 1 s longer than the one before, the order log says what each took."""

    class Staircase(Machine):
        def spend(self, seconds):
            self.calls += 1
            self.now += self.calls

    machine = Staircase()
    found = session(machine, blocks=2, cycles=3, warmup_s=0.0)
    every = {**found.samples, CONTROL: found.control}
    for index, block in enumerate(found.blocks):
        walls = [
            every[name].wall[index, 2 * cycle + half]
            for cycle, names in enumerate(block.order)
            for half, order in enumerate((names, names[::-1]))
            for name in order
        ]
        assert np.diff(walls).tolist() == [1] * (len(walls) - 1)


def test_placement_is_redrawn_each_block_and_kept_within_it():
    found = session(Machine(noise=0.0, placement=0.15))
    wall = found.samples["b"].wall
    assert np.ptp(wall, axis=1) == pytest.approx(0, abs=1e-9)
    assert np.log(wall[:, 0]).std() == pytest.approx(0.15, rel=0.5)
    assert len(np.unique(wall[:, 0])) == 12


def test_the_same_seed_gives_the_same_session():
    first, second, other = (session(Machine(1, placement=0.1), seed=seed) for seed in (3, 3, 4))
    assert [b.order for b in first.blocks] == [b.order for b in second.blocks] != [b.order for b in other.blocks]
    assert np.array_equal(first.samples["b"].wall, second.samples["b"].wall)


def test_calls_under_a_millisecond_are_looped_inside_the_timer():
    found = session(Machine(noise=0.0), (0.007, 0.00013))
    assert found.samples["a"].loops == found.control.loops == 1
    assert found.samples["b"].loops == math.ceil(1e-3 / 0.00013)
    assert found.samples["b"].wall == pytest.approx(0.00013)


def test_warm_up_ends_when_calls_are_steady_and_the_first_is_reported_apart():
    class Cold(Model):
        def __init__(self, machine, first):
            super().__init__(machine)
            self.first = first

        def __deepcopy__(self, memo):
            return Cold(self.machine, self.first)

        def __call__(self, example):
            self.machine.spend(self.first.pop() if self.first else self.seconds)

    def warmed(first, warmup_s=2.0):
        machine = Machine(noise=0.0)
        found = run_session(
            {"a": Subject(Cold(machine, first), None)},
            baseline="a",
            blocks=1,
            cycles=1,
            warmup_s=warmup_s,
            timer=machine,
        )
        return found, machine.calls - 2 - 4  # less one untimed call each of subject and clone, and a mirrored cycle

    found, calls = warmed([0.5])
    assert found.samples["a"].cold_ms == pytest.approx(500)
    assert calls == 1 + 6
    _, calls = warmed([0.01, 0.02, 0.04, 0.08, 0.5])
    assert calls > 1 + 6
    _, calls = warmed([0.5], warmup_s=0.0)
    assert calls == 1 + 3
    _, calls = warmed([0.001 * 1.01**i for i in range(200)])
    assert calls == 1 + 6


def test_warm_up_that_never_settles_ends_with_its_time():
    class Restless(Machine):
        def spend(self, seconds):
            super().spend(seconds * 2 ** (self.calls % 11))

    machine = Restless(noise=0.0)
    session(machine, (0.001,), blocks=1, cycles=1, warmup_s=1.0)
    assert machine.calls < 60


def test_budget_stops_after_the_least_number_of_blocks():
    assert len(session(Machine(), budget_s=0.1).blocks) == 6
    assert len(session(Machine(), budget_s=0.1, minimum_blocks=3).blocks) == 3
    assert len(session(Machine(), budget_s=100.0).blocks) == 12
    middle = session(Machine(noise=0.0), budget_s=2.5)
    assert 6 < len(middle.blocks) < 12


def test_progress_is_told_outside_all_timing():
    told = []
    machine = Machine(noise=0.0)

    def slow(done, planned):
        told.append((done, planned))
        machine.now += 100

    found = session(machine, blocks=3, on_block=slow)
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert max(block.seconds for block in found.blocks) < 1


def test_blocks_end_when_every_ratio_is_narrow_enough():
    quiet = session(Machine(noise=0.0, placement=0.005), target=0.02, blocks=100)
    assert (len(quiet.blocks), quiet.looks, quiet.stop_reason) == (12, (12,), "target reached")
    assert quiet.level == 0.965
    later = session(Machine(noise=0.0, placement=0.05), target=0.03, blocks=200)
    assert len(later.blocks) == later.looks[-1] > 12
    assert later.looks == tuple(itertools.takewhile(lambda n: n <= len(later.blocks), interim_looks()))
    assert narrow_enough([later.log_ratios("b")], 0.03)
    assert not narrow_enough([later.log_ratios("b")[: later.looks[-2]]], 0.03)


def test_blocks_end_with_their_number_or_the_budget():
    ended = session(Machine(noise=0.0, placement=0.3), target=0.01, blocks=30)
    assert (len(ended.blocks), ended.looks, ended.stop_reason) == (30, (12, 18, 27), "blocks ended")
    late = session(Machine(noise=0.0, placement=0.3), target=0.01, blocks=300, budget_s=5.0)
    assert late.stop_reason == "budget ended"
    assert late.looks == tuple(n for n in (12, 18, 27, 41) if n <= len(late.blocks))
    assert sum(block.seconds for block in late.blocks) <= 5


def test_without_a_target_all_blocks_are_run_and_nothing_is_looked_at():
    found = session(Machine(noise=0.0), blocks=20)
    assert (len(found.blocks), found.looks, found.stop_reason, found.level) == (20, (), "blocks ended", 0.95)


def test_the_clone_and_the_baseline_alone_have_no_ratio_to_wait_for():
    found = session(Machine(placement=0.3), (0.007,), target=0.001, blocks=50)
    assert len(found.blocks) == 12


# With real modules


class Scaled(nn.Module):
    def __init__(self, depth=1, output=1.0):
        super().__init__()
        self.layers = nn.Sequential(*[nn.Linear(16, 16) for _ in range(depth)])
        self.output = output

    def forward(self, x):
        return self.layers(x) * self.output


X = torch.randn(4, 16)


@pytest.mark.parametrize("mode", ["forward", "train_step"])
def test_a_session_leaves_models_and_settings_as_they_were(mode):
    model = Scaled()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    found = run_session({"m": Subject(model, X)}, baseline="m", blocks=2, cycles=2, mode=mode, warmup_s=0.01)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert model.training
    assert all(p.grad is None for p in model.parameters())
    assert gc.isenabled()
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    assert (found.samples["m"].wall > 0).all()
    assert (found.samples["m"].switches >= 0).all()
    assert found.samples["m"].batch_size == 4
    assert found.mode == mode


def test_phases_of_a_training_step_are_the_same_readings_as_the_whole():
    found = run_session({"m": Subject(Scaled(3), X)}, baseline="m", blocks=2, cycles=2, mode="train_step", warmup_s=0)
    sample = found.samples["m"]
    assert list(sample.phases) == ["forward", "backward", "optimizer"]
    assert sum(sample.phases.values()) == pytest.approx(sample.wall, rel=1e-12)
    assert all((seconds > 0).all() for seconds in sample.phases.values())
    assert found.control.phases["forward"].shape == (2, 4)
    assert run_session({"m": Subject(Scaled(), X)}, baseline="m", blocks=1, cycles=1).samples["m"].phases == {}


def test_phases_are_told_apart():
    """On a simulated clock that only the passes themselves advance, each has what it took."""
    machine = Machine(noise=0.0)

    class Passes(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            machine.spend(0.02)
            return x.clone()

        @staticmethod
        def backward(context, gradient):
            machine.spend(0.05)
            return gradient

    class Timed(Scaled):
        def forward(self, x):
            return Passes.apply(super().forward(x))

    found = run_session({"m": Subject(Timed(), X)}, baseline="m", blocks=2, cycles=1, mode="train_step", timer=machine)
    means = {name: seconds.mean() for name, seconds in found.samples["m"].phases.items()}
    assert means == pytest.approx({"forward": 0.02, "backward": 0.05, "optimizer": 0.0}, abs=1e-12)


def test_what_runs_is_the_mode_asked_for():
    seen = []

    class Spy(Scaled):
        def forward(self, x):
            seen.append((self.training, torch.is_inference_mode_enabled(), gc.isenabled()))
            return super().forward(x)

    run_session({"m": Subject(Spy(), X)}, baseline="m", blocks=1, cycles=1, warmup_s=0.0)
    assert {state[:2] for state in seen} == {(False, True)}
    assert not seen[-1][2]
    seen.clear()
    run_session({"m": Subject(Spy(), X)}, baseline="m", blocks=1, cycles=1, warmup_s=0.0, mode="train_step")
    assert {state[:2] for state in seen} == {(True, False)}


def test_train_steps_train_the_copy():
    """The weights that the forward pass meets change from step to step."""
    norms = []

    class Spy(Scaled):
        def forward(self, x):
            norms.append(float(self.layers[0].weight.detach().norm()))
            return super().forward(x)

    run_session({"m": Subject(Spy(), X)}, baseline="m", blocks=1, cycles=2, warmup_s=0.0, mode="train_step")
    assert len(set(norms)) > 5


def test_subjects_may_differ_in_batch_size_and_dtype():
    subjects = {"a": Subject(Scaled(), X), "b": Subject(Scaled().double(), torch.randn(7, 16, dtype=torch.float64))}
    found = run_session(subjects, baseline="a", blocks=2, cycles=1, warmup_s=0.0)
    assert found.samples["b"].batch_size == 7


class Locked:
    def __deepcopy__(self, memo):
        raise TypeError("cannot pickle a lock")


@pytest.mark.parametrize(
    ("model", "mode", "message"),
    [
        (Scaled(output=math.nan), "forward", "bad cannot be timed: its output contains NaN or infinity"),
        (Scaled(output=math.inf), "train_step", "bad cannot be timed: its output contains NaN or infinity"),
        (lambda x: {"logits": (x / 0,)}, "forward", "bad cannot be timed: its output contains NaN"),
        (lambda x: math.nan, "forward", "bad cannot be timed: its output contains NaN"),
        (nn.Linear(3, 3), "forward", "bad cannot be timed: RuntimeError: mat1 and mat2"),
        (Locked(), "forward", "bad cannot be timed: TypeError: cannot pickle a lock"),
        (nn.Identity(), "train_step", "bad cannot be timed: it has no parameters to train"),
        (nn.Unflatten(1, (4, 4)), "train_step", "no parameters"),
        (
            nn.Sequential(nn.Linear(16, 16), nn.Unflatten(1, (4, 4))),
            "train_step",
            r"logits of shape \(batch, classes\)",
        ),
    ],
)
def test_a_subject_that_cannot_be_timed_is_named(model, mode, message):
    subjects = {"good": Subject(Scaled(), X), "bad": Subject(model, X)}
    with pytest.raises(SubjectError, match=message) as raised:
        run_session(subjects, baseline="good", blocks=2, cycles=1, warmup_s=0.0, mode=mode)
    assert raised.value.subject == "bad"
    assert gc.isenabled()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"baseline": "aa"}, "unknown baseline 'aa': a, b exist; did you mean 'a'"),
        ({"blocks": 0}, "blocks=0"),
        ({"cycles": 0}, "cycles=0"),
    ],
)
def test_a_session_that_cannot_be_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        session(Machine(), **settings)


def test_the_controls_name_is_taken():
    subjects = {CONTROL: Subject(Scaled(), X)}
    with pytest.raises(ConfigError, match="choose another name"):
        run_session(subjects, baseline=CONTROL)


def test_log_ratios_are_those_of_stats():
    found = session(Machine(placement=0.1))
    expected = log_ratio_blocks(found.samples["b"].wall, found.samples["a"].wall)
    assert np.array_equal(found.log_ratios("b"), expected)
    assert replace(found, samples={**found.samples, "b": found.samples["a"]}).log_ratios("b") == pytest.approx([0] * 12)
