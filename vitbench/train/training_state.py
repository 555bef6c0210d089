"""The complete state of a training, as plain values and tensors."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vitbench.devices import device_of
from vitbench.train.batch_loader import BatchLoader
from vitbench.train.ema import RunningMean
from vitbench.train.step import Step


@dataclass(frozen=True)
class Parts:
    """The parts of a training that change: weights, their running mean, optimiser, loss scale, data, random generators.

    The learning rate follows from the step number, gradients do not outlive a step, and a teacher does not change.
    Plain Python attributes of a model are not saved.
    """

    model: nn.Module
    step: Step
    mean: RunningMean | None
    loader: BatchLoader
    device: str

    def state(self) -> dict[str, Any]:
        """The state between two steps. Its tensors are not copies: write them before the next step."""
        return {
            "model": _module(self.model),
            "mean": None if self.mean is None else _module(self.mean.model),
            "optimizer": self.step.optimizer.state_dict(),
            "scaler": None if self.step.scaler is None else self.step.scaler.state_dict(),
            "feed": self.loader.state(),
            "generators": _generators(self.device),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restores a state of the same training.

        Raises:
            KeyError, RuntimeError, TypeError, ValueError: the state does not match; the parts are now unusable.
        """
        _restore_module(self.model, state["model"])
        if self.mean is not None:
            _restore_module(self.mean.model, state["mean"])
        self.step.optimizer.load_state_dict(state["optimizer"])
        if self.step.scaler is not None:
            self.step.scaler.load_state_dict(state["scaler"])
        self.loader.restore(state["feed"])
        _set_generators(state["generators"], self.device)


def _module(module: nn.Module) -> dict[str, Any]:
    return {"state": module.state_dict(), "buffers": _non_persistent_buffers(module)}


def _restore_module(module: nn.Module, found: Mapping[str, Any]) -> None:
    module.load_state_dict(found["state"])
    buffers = _non_persistent_buffers(module)
    for name, value in found["buffers"].items():
        buffers[name].copy_(value)


def _non_persistent_buffers(module: nn.Module) -> dict[str, Tensor]:
    kept = module.state_dict()
    return {name: buffer for name, buffer in module.named_buffers() if name not in kept}


def _generators(device: str) -> dict[str, Any]:
    numpy: dict[str, Any] = np.random.get_state(legacy=False)  # noqa: NPY002  # a model may draw from the global generator
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
