"""The number format of a training run: autocast, and the loss scale that float16 needs."""

from __future__ import annotations

import contextlib

import torch

from vitbench.declare.train import TrainConfig


def autocast(config: TrainConfig, device: str) -> contextlib.AbstractContextManager[object]:
    """What forward passes run under: ``auto`` is bfloat16 on CUDA and nothing elsewhere."""
    kind = torch.device(device).type
    if config.precision == "float16":
        return torch.autocast(kind, dtype=torch.float16)
    if config.precision == "bfloat16" or (config.precision == "auto" and kind == "cuda"):
        return torch.autocast(kind, dtype=torch.bfloat16)
    return contextlib.nullcontext()


def scaler(config: TrainConfig, device: str) -> torch.amp.GradScaler | None:
    """What keeps float16's gradients above its smallest number; None for a format that needs none.

    On the CPU float16 trains too, though without kernels of its own: a ResNet some thirty times slower than in float32.
    """
    return torch.amp.GradScaler(torch.device(device).type) if config.precision == "float16" else None
