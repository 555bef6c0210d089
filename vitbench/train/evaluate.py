"""Predictions of a model for a whole split."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from vitbench.data.dataset import Split
from vitbench.data.stream import Stream
from vitbench.declare.train import TrainConfig
from vitbench.train.batch_loader import Normalise, loaders
from vitbench.train.precision import autocast

EVALUATE_AT_ONCE = 512
"""Batch size of evaluations; fixed, so that rounding does not make accuracy depend on the recipe's batch size."""


def raw_batches(
    split: Split | Stream, device: str, *, batch_size: int = EVALUATE_AT_ONCE, workers: int | None = None
) -> Iterator[Tensor]:
    """Raw images (b, c, h, w) of a split, in order, on the device.

    ``workers`` is the number of processes that decode a streamed split; None: as many as in training.
    """
    if isinstance(split, Split):
        for images in torch.split(split.images, batch_size):
            yield images.to(device)
        return
    rows, workers = torch.arange(len(split)), loaders(device) if workers is None else workers
    for images, _ in split.batches(rows, batch_size=batch_size, boxes=None, workers=workers, device=device):
        yield images


def predict(model: nn.Module, split: Split | Stream, normalise: Normalise, config: TrainConfig, device: str) -> Tensor:
    """Logits (n, classes), float32, computed in evaluation mode at the recipe's precision."""
    model.eval()
    with torch.inference_mode(), autocast(config, device):
        return torch.cat([model(normalise(images)).float() for images in raw_batches(split, device)])
