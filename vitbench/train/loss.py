"""The loss that training minimises, of one head or of several."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def cross_entropy(logits: Tensor | Sequence[Tensor], labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of (batch, classes) against (batch,).

    Of several heads, as ``distilled`` has in training, it is the mean of their losses, each against the labels.
    """
    if isinstance(logits, Tensor):
        return functional.cross_entropy(logits, labels, label_smoothing=label_smoothing)
    return torch.stack([cross_entropy(head, labels, label_smoothing) for head in logits]).mean()
