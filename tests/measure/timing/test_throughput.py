"""Throughput on a simulated device whose calls overlap, so that the truth is not batch ÷ latency."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from vitbench.measure.timing.subject import Subject, SubjectError
from vitbench.measure.timing.throughput import measure


class Device:
    """Takes ``submit`` seconds of the caller per call and ``work`` of its own, done in the order of submission."""

    def __init__(self):
        self.now = self.done = 0.0
        self.log = []

    def __call__(self):
        return self.now

    def subject(self, name, submit, work, batch=8):
        device = self

        class Simulated(Subject):
            def synchronize(self):
                device.now = max(device.now, device.done)
                device.log.append((name, "sync"))

        def call(example):
            device.log.append((name, "call"))
            device.now += submit
            device.done = max(device.done, device.now) + work
            return example

        return Simulated(call, torch.zeros(batch, 1))


def test_overlapping_calls_run_at_the_rate_of_the_slower_side():
    device = Device()
    subjects = {
        "device bound": device.subject("d", 0.002, 0.010),
        "caller bound": device.subject("c", 0.010, 0.002, batch=4),
    }
    rates = measure(subjects, window_s=2.0, windows=3, timer=device)
    assert rates["device bound"] == pytest.approx([8 / 0.010] * 3, rel=0.01)  # batch ÷ latency would say 8 / .012
    assert rates["caller bound"] == pytest.approx([4 / 0.010] * 3, rel=0.01)


def test_one_synchronisation_ends_a_window_of_at_least_its_length():
    device = Device()
    measure({"a": device.subject("a", 0.01, 0.03)}, window_s=1.0, windows=2, timer=device)
    events = [event for _, event in device.log]
    assert events.count("sync") == 4
    window = events[events.index("sync") + 1 :]
    assert window.index("sync") * 0.01 >= 1.0


def test_order_is_redrawn_each_round_from_the_seed():
    def orders(seed):
        device = Device()
        measure({n: device.subject(n, 0.1, 0) for n in "abcd"}, window_s=1.0, windows=6, seed=seed, timer=device)
        syncs = [name for name, event in device.log if event == "sync"][::2]
        return [tuple(syncs[i : i + 4]) for i in range(0, 24, 4)]

    assert all(sorted(order) == list("abcd") for order in orders(0))
    assert len(set(orders(0))) > 2
    assert orders(0) == orders(0) != orders(1)


def test_real_modules_are_left_as_they_were():
    model = nn.Linear(8, 8)
    rates = measure({"m": Subject(model, torch.randn(5, 8))}, window_s=0.02, windows=2)
    assert model.training
    assert len(rates["m"]) == 2
    assert min(rates["m"]) > 0


def test_a_subject_that_raises_is_named():
    subjects = {"good": Subject(nn.Identity(), torch.zeros(1)), "bad": Subject(nn.Linear(3, 3), torch.zeros(1, 4))}
    with pytest.raises(SubjectError, match=r"^bad cannot be timed: RuntimeError"):
        measure(subjects, window_s=0.01)
    with pytest.raises(SubjectError, match="NaN or infinity"):
        measure({"nan": Subject(lambda x: x * math.nan, torch.ones(1))}, window_s=0.01)
