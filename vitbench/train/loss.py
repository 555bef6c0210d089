"""The loss that training minimises, of one head or of several, with a teacher or without."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from vitbench.declare.train import TrainConfig


def cross_entropy(logits: Tensor | Sequence[Tensor], labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of (batch, classes) against (batch,), or against soft targets (batch, classes).

    Of several heads, as ``distilled`` has in training, it is the mean of their losses, each against the labels.
    """
    if isinstance(logits, Tensor):
        return functional.cross_entropy(logits, labels, label_smoothing=label_smoothing)
    return torch.stack([cross_entropy(head, labels, label_smoothing) for head in logits]).mean()


def distillation_loss(
    logits: Tensor | Sequence[Tensor], labels: Tensor, teacher_logits: Tensor, config: TrainConfig
) -> Tensor:
    """(1 - alpha) · cross-entropy against the labels + alpha · the teacher's term (Touvron et al. 2021, eq. 2 and 3).

    Of two heads the first answers to the labels and the second to the teacher; of one, it answers to both. The
    teacher's term is, with ``soft``, tau² · KL(teacher ‖ student) of both softened by tau, averaged over the batch as
    in the paper (DeiT's code divides by batch · classes, which makes it smaller by the number of classes); with
    ``hard``, cross-entropy against the class that the teacher names, without smoothing.
    """
    ours, taught = (logits, logits) if isinstance(logits, Tensor) else (logits[0], logits[1])
    base = cross_entropy(ours, labels, config.label_smoothing)
    if config.distillation == "hard":
        term = functional.cross_entropy(taught, teacher_logits.argmax(1))
    else:
        tau = config.distillation_tau
        student, teacher = (functional.log_softmax(x.float() / tau, 1) for x in (taught, teacher_logits))
        term = functional.kl_div(student, teacher, reduction="batchmean", log_target=True) * tau**2
    return (1 - config.distillation_alpha) * base + config.distillation_alpha * term
