"""Training losses: cross-entropy of one or several heads, and distillation from a teacher."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from vitbench.declare.train import TrainConfig


def cross_entropy(logits: Tensor | Sequence[Tensor], labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of logits (batch, classes) with labels (batch,) or soft targets (batch, classes).

    For several heads (a ``distilled`` model in training) it is the mean of the heads' losses.
    """
    if isinstance(logits, Tensor):
        return functional.cross_entropy(logits, labels, label_smoothing=label_smoothing)
    return torch.stack([cross_entropy(head, labels, label_smoothing) for head in logits]).mean()


def distillation_loss(
    logits: Tensor | Sequence[Tensor], labels: Tensor, teacher_logits: Tensor, config: TrainConfig
) -> Tensor:
    """(1 - alpha) · cross-entropy with the labels + alpha · teacher term (Touvron et al. 2021, eq. 2 and 3).

    With two heads, the first learns from the labels and the second from the teacher; a single head learns from both.
    The teacher term is, for ``soft``, tau² · KL(teacher ‖ student) at temperature tau, averaged over the batch as in
    the paper (DeiT's code divides by batch · classes, so its term is smaller by the number of classes); for ``hard``,
    cross-entropy with the teacher's predicted class, without smoothing.
    """
    labelled, distilled = (logits, logits) if isinstance(logits, Tensor) else (logits[0], logits[1])
    base = cross_entropy(labelled, labels, config.label_smoothing)
    if config.distillation == "hard":
        term = functional.cross_entropy(distilled, teacher_logits.argmax(1))
    else:
        tau = config.distillation_tau
        student, teacher = (functional.log_softmax(x.float() / tau, 1) for x in (distilled, teacher_logits))
        term = functional.kl_div(student, teacher, reduction="batchmean", log_target=True) * tau**2
    return (1 - config.distillation_alpha) * base + config.distillation_alpha * term
