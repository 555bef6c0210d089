"""Mixed precision of a training run: autocast, and the gradient scaler that float16 needs."""

from __future__ import annotations

import contextlib

import torch

from vitbench.declare.train import TrainConfig


def autocast(config: TrainConfig, device: str) -> contextlib.AbstractContextManager[object]:
    """The autocast context of forward passes; ``auto`` is bfloat16 on CUDA and float32 elsewhere."""
    kind = torch.device(device).type
    if config.precision == "float16":
        return torch.autocast(kind, dtype=torch.float16)
    if config.precision == "bfloat16" or (config.precision == "auto" and kind == "cuda"):
        return torch.autocast(kind, dtype=torch.bfloat16)
    return contextlib.nullcontext()


def scaler(config: TrainConfig, device: str) -> torch.amp.GradScaler | None:
    """The gradient scaler that keeps float16 gradients from underflowing; None for other formats.

    float16 also trains on the CPU but without fast kernels: a ResNet takes about thirty times as long as in float32.
    """
    return torch.amp.GradScaler(torch.device(device).type) if config.precision == "float16" else None
