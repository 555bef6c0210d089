"""All that determines how a training goes on, as plain values and tensors; and back."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vitbench.devices import device_of
from vitbench.train.ema import RunningMean
from vitbench.train.feed import Feed
from vitbench.train.step import Step


@dataclass(frozen=True)
class Parts:
    """What changes in the course of a training: weights and their running mean, optimiser, loss scale, data, chance.

    The rate follows from the step's number, gradients do not outlive a step, and a teacher does not change. What a
    model keeps in plain Python attributes is not seen.
    """

    model: nn.Module
    step: Step
    mean: RunningMean | None
    feed: Feed
    device: str

    def state(self) -> dict[str, Any]:
        """Between two steps. Tensors are the live ones: write them before the next step."""
        return {
            "model": _module(self.model),
            "mean": None if self.mean is None else _module(self.mean.model),
            "optimizer": self.step.optimizer.state_dict(),
            "scaler": None if self.step.scaler is None else self.step.scaler.state_dict(),
            "feed": self.feed.state(),
            "generators": _generators(self.device),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes the state in, the parts being set up as those were that it is of.

        Raises:
            KeyError, RuntimeError, TypeError, ValueError: they are not, and are now of no further use.
        """
        _put(self.model, state["model"])
        if self.mean is not None:
            _put(self.mean.model, state["mean"])
        self.step.optimizer.load_state_dict(state["optimizer"])
        if self.step.scaler is not None:
            self.step.scaler.load_state_dict(state["scaler"])
        self.feed.restore(state["feed"])
        _set_generators(state["generators"], self.device)


def _module(module: nn.Module) -> dict[str, Any]:
    kept = module.state_dict()
    return {"state": kept, "buffers": _unkept(module)}


def _put(module: nn.Module, found: Mapping[str, Any]) -> None:
    module.load_state_dict(found["state"])
    buffers = _unkept(module)
    for name, value in found["buffers"].items():
        buffers[name].copy_(value)


def _unkept(module: nn.Module) -> dict[str, Tensor]:
    """Buffers that a state dict leaves out."""
    kept = module.state_dict()
    return {name: buffer for name, buffer in module.named_buffers() if name not in kept}


def _generators(device: str) -> dict[str, Any]:
    numpy: dict[str, Any] = np.random.get_state(legacy=False)  # noqa: NPY002  # a model may draw from it
    twister = numpy["state"]
    return {
        "torch": torch.get_rng_state(),
        "cuda": device_of(device).random_state(),
        "numpy": {**numpy, "state": {**twister, "key": twister["key"].tolist()}},
        "python": random.getstate(),
    }


def _set_generators(found: Mapping[str, Any], device: str) -> None:
    torch.set_rng_state(found["torch"])
    device_of(device).set_random_state(found["cuda"])
    np.random.set_state(found["numpy"])  # noqa: NPY002
    random.setstate(found["python"])
