"""Faults, injected: whatever a model or a machine does ends in a reason, or in a verdict that claims nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from tests.support.simulated_machine import Machine, Model
from vitbench.measure.timing.latency import compare
from vitbench.measure.timing.session import run_session
from vitbench.measure.timing.subject import Subject, SubjectError
from vitbench.utils.errors import ConfigError


def session(machine, models, **settings):
    settings = {"baseline": "a", "timer": machine, "warmup_s": 0.0} | settings
    return run_session({name: Subject(model, None) for name, model in models.items()}, **settings)


class Drifting(Model):
    """Slower by 1 % of its time with every second of the machine's."""

    def __deepcopy__(self, memo):
        return Drifting(self.machine, self.seconds)

    def __call__(self, example):
        self.machine.spend(self.seconds * (1 + 0.01 * self.machine.now))


def test_a_ratio_that_drifts_is_inconclusive():
    machine = Machine(noise=0.01)
    models = {"a": Model(machine), "drifting": Drifting(machine), "steady": Model(machine, 0.0077)}
    found = compare(models, None, baseline="a", timer=machine, budget_s=20)
    assert found.session.unstable("drifting")
    assert not found.session.unstable("steady")
    assert found.ratios["drifting"].verdict.text == "inconclusive: unstable, the ratio drifts with time"
    assert found.ratios["steady"].verdict.kind == "slower"


def test_a_machine_that_drifts_is_no_drift_of_a_ratio():
    machine = Machine(noise=0.01, drift=0.05)
    assert not session(machine, {"a": Model(machine), "b": Model(machine)}).unstable("b")


class Cached(Model):
    """A fifth faster where nobody ran since its own last call."""

    last: object = None

    def __deepcopy__(self, memo):
        return Cached(self.machine, self.seconds)

    def __call__(self, example):
        self.machine.spend(self.seconds * (0.8 if Cached.last is self else 1.0))
        Cached.last = self


class Blind(Model):
    """Takes as long whoever ran before."""

    def __deepcopy__(self, memo):
        return Blind(self.machine, self.seconds)

    def __call__(self, example):
        self.machine.spend(self.seconds)
        Cached.last = self


def test_calls_that_disturb_each_other_are_seen_in_the_mirrored_passes():
    machine = Machine(noise=0.005)
    models = {"a": Blind(machine), "cached": Cached(machine), "blind": Blind(machine)}
    found = compare(models, None, baseline="a", timer=machine, budget_s=30, target=1e-9)
    assert found.session.order_effect("cached").high < 1
    assert not found.session.order_effect("blind").excludes(1)
    (note,) = found.notes()
    assert note.startswith("cache interference: cached runs at 0.")
    assert note in str(found)


def test_a_clock_that_goes_backwards_is_an_error():
    machine = Machine()
    subject = Subject(lambda x: machine.spend(-1), None)
    with pytest.raises(SubjectError, match="the clock went from"):
        run_session({"a": subject}, baseline="a", timer=machine)


def test_a_clock_that_goes_backwards_later_is_an_error_too():
    machine = Machine()

    def leap(x):
        machine.spend(-3600 if machine.calls in range(100, 104) else 0.01)

    with pytest.raises(SubjectError, match="cannot be timed: the clock went from 1"):
        run_session({"a": Subject(leap, None)}, baseline="a", timer=machine)


class Counting(nn.Module):
    """Counts the calls of each copy."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return self.answer(self.linear(x))


class Third(Counting):
    def answer(self, logits):
        if self.calls == 3:
            raise RuntimeError("out of luck\nand more")
        return logits


class LaterNaN(Counting):
    def answer(self, logits):
        return logits * (math.nan if self.calls > 7 else 1)


class OtherShape(Counting):
    def answer(self, logits):
        return logits[:, : 2 if self.calls >= 6 else 3]


class OtherNest(Counting):
    def answer(self, logits):
        return {"logits": logits} if self.calls >= 6 else logits


@pytest.mark.parametrize("mode", ["forward", "train_step"])
@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Third(), "bad cannot be timed: RuntimeError: out of luck$"),
        (LaterNaN(), "bad cannot be timed: its output contains NaN or infinity"),
        (OtherShape(), r"bad cannot be timed: its output changed from \(2, 3\) to \(2, 2\)"),
    ],
)
def test_a_model_that_fails_later_is_named(model, message, mode):
    x = torch.randn(2, 4)
    subjects = {"good": Subject(nn.Linear(4, 3), x), "bad": Subject(model, x)}
    with pytest.raises(SubjectError, match=message) as raised:
        run_session(subjects, baseline="good", blocks=2, cycles=6, warmup_s=0.0, mode=mode)
    assert raised.value.subject == "bad"


def test_an_output_that_is_nested_anew_is_named():
    subjects = {"a": Subject(OtherNest(), torch.randn(2, 4))}
    with pytest.raises(SubjectError, match=r"its output changed from \(2, 3\) to {'logits': \(2, 3\)}"):
        run_session(subjects, baseline="a", blocks=2, cycles=6, warmup_s=0.0)


class Moody(Model):
    """Sleeps for seconds once in a while."""

    def __deepcopy__(self, memo):
        return Moody(self.machine, self.seconds)

    def __call__(self, example):
        self.machine.spend(self.seconds if self.machine.rng.random() > 0.05 else 3.0)


def test_a_model_that_sleeps_for_seconds_ends_with_the_budget_and_is_named():
    machine = Machine()
    found = compare({"a": Model(machine), "sleepy": Moody(machine)}, None, baseline="a", timer=machine, budget_s=10)
    assert found.session.stop_reason == "budget ended"
    assert machine.now < 60
    (note,) = found.notes()
    assert "calls of sleepy took over 10 times its median, up to 3" in note


def test_a_steady_sleeper_is_timed_in_the_least_number_of_blocks():
    machine = Machine(noise=0.0)
    found = compare({"a": Model(machine), "slow": Model(machine, 3.0)}, None, baseline="a", timer=machine, budget_s=10)
    assert found.session.samples["slow"].wall.shape == (6, 2)
    assert found.ratios["slow"].value == pytest.approx(3.0 / 0.007)


def test_a_clone_that_differs_withholds_every_verdict():
    machine = Machine(placement=0.01)
    models = {"a": Model(machine), "b": Model(machine, 0.01)}
    found = session(machine, models, control=Subject(Model(machine, 0.0077), None))
    assert not found.valid


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target": 0.0}, "target=0 is never reached"),
        ({"target": -0.1}, "target=-0.1 is never reached"),
        ({"placement": "shared", "mode": "train_step"}, "would train shared weights"),
    ],
)
def test_a_session_that_cannot_be_is_refused(settings, message):
    machine = Machine()
    with pytest.raises(ConfigError, match=message):
        session(machine, {"a": Model(machine)}, **settings)


def test_shared_placement_puts_equal_shapes_into_the_same_memory():
    places: dict[str, set[int]] = {}

    class Spy(nn.Linear):
        def __init__(self, name, out=3):
            super().__init__(4, out)
            self.name = name

        def forward(self, x):
            places.setdefault(self.name, set()).add(self.weight.data_ptr())
            return super().forward(x)

    x = torch.randn(2, 4)
    models = {"a": Spy("a"), "b": Spy("b"), "other": Spy("other", 5)}
    before = {name: model.weight.clone() for name, model in models.items()}
    subjects = {name: Subject(model, x) for name, model in models.items()}
    found = run_session(subjects, baseline="a", blocks=1, cycles=2, warmup_s=0.0, placement="shared")
    assert found.placement == "shared"
    assert places["a"] & places["b"]
    assert not places["a"] & places["other"]
    assert all(torch.equal(model.weight, before[name]) for name, model in models.items())
    assert np.isfinite(found.samples["b"].wall).all()
