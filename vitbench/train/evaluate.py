"""What a model says of a whole split."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from vitbench.data.dataset import Split
from vitbench.data.stream import Stream
from vitbench.declare.train import TrainConfig
from vitbench.train.feed import Normalise, loaders
from vitbench.train.precision import autocast

EVALUATE_AT_ONCE = 512
"""Images in one forward pass of an evaluation; accuracy must not depend on the recipe's batch size through rounding."""


def raw_batches(
    split: Split | Stream, device: str, *, batch_size: int = EVALUATE_AT_ONCE, workers: int | None = None
) -> Iterator[Tensor]:
    """A split's images (b, c, h, w) in its order, as they are stored, on the device.

    ``workers`` decode them where they are streamed; None: as many as training takes.
    """
    if isinstance(split, Split):
        for images in torch.split(split.images, batch_size):
            yield images.to(device)
        return
    rows, workers = torch.arange(len(split)), loaders(device) if workers is None else workers
    for images, _ in split.batches(rows, batch_size=batch_size, boxes=None, workers=workers, device=device):
        yield images


def predict(model: nn.Module, split: Split | Stream, normalise: Normalise, config: TrainConfig, device: str) -> Tensor:
    """Logits (n, classes), float32, in evaluation mode and under the recipe's precision."""
    model.eval()
    with torch.inference_mode(), autocast(config, device):
        return torch.cat([model(normalise(images)).float() for images in raw_batches(split, device)])
