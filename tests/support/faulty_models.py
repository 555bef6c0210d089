"""Tiny models and the ways in which they fail; a copy of this file is what the workers of the tests import."""

import ctypes
import os
import sys
import time

from torch import nn


class Model(nn.Module):
    """A linear classifier that does something first when it is trained on real data."""

    def __init__(self, num_classes, fault=None):
        super().__init__()
        self.linear = nn.Linear(64, num_classes)
        self.fault = fault

    def forward(self, x):
        if self.fault is not None and x.device.type != "meta":
            self.fault()
        return self.linear(x.flatten(1))


def good(num_classes):
    return Model(num_classes)


def raises(num_classes):
    return Model(num_classes, lambda: [][1])  # noqa: PLE0643


def leaves(num_classes):
    def fault():
        print("leaving now")  # noqa: T201
        os._exit(7)

    return Model(num_classes, fault)


def segfaults(num_classes):
    return Model(num_classes, lambda: ctypes.string_at(0))


def exhausts(num_classes):
    return Model(num_classes, lambda: bytearray(1 << 60))


def hangs(num_classes):
    return Model(num_classes, lambda: time.sleep(600))


class Infinite(Model):
    def forward(self, x):
        return self.linear(x.flatten(1)) / 0


def diverges(num_classes):
    return Infinite(num_classes)


class Moody(Model):
    """Survives its probe, and kills the process when it meets others."""

    def forward(self, x):
        if len(sys.modules["moody"].met) > 1:
            os.kill(os.getpid(), 11)
        return super().forward(x)


def moody(num_classes):
    met.add("moody")
    return Moody(num_classes)


def sociable(num_classes):
    met.add("sociable")
    return Model(num_classes)


met = set()
sys.modules["moody"] = sys.modules[__name__]
