"""A machine whose truth is known: a clock that models advance. What times them is the code that times real ones."""

from __future__ import annotations

import math

import numpy as np


class Machine:
    """A clock that models advance: drift, bursts of other load, heavy-tailed noise, and placement of each copy."""

    def __init__(self, seed=0, *, noise=0.03, placement=0.0, drift=0.0, bursts=0.0):
        self.rng = np.random.default_rng(seed)
        self.now = 0.0
        self.noise, self.placement, self.drift, self.bursts = noise, placement, drift, bursts
        self.burst_ends = 0.0
        self.tails = self.rng.standard_t(3, size=4096).tolist()  # no variance to speak of: outliers are common
        self.uniform = self.rng.random(4096).tolist()
        self.calls = 0

    def __call__(self):
        return self.now

    def spend(self, seconds):
        self.calls += 1
        if self.now > self.burst_ends and self.uniform[self.calls % 4096] < self.bursts:
            self.burst_ends = self.now + 40 * seconds
        busy = 1.6 if self.now < self.burst_ends else 1.0
        noise = math.exp(self.noise * abs(self.tails[self.calls % 4093]))
        self.now += seconds * (1 + self.drift * self.now) * busy * noise


class Model:
    """Takes ``seconds``, times a factor that is drawn whenever it is copied."""

    def __init__(self, machine, seconds=0.007):
        self.machine, self.seconds, self.factor = machine, seconds, 1.0

    def __deepcopy__(self, memo):
        copy = Model(self.machine, self.seconds)
        copy.factor = math.exp(self.machine.rng.normal(0, self.machine.placement))
        return copy

    def __call__(self, example):
        self.machine.spend(self.seconds * self.factor)
        return 0.0
