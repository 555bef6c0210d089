"""``TrainConfig``: one training recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from vitbench.declare.checked import Checked
from vitbench.utils.errors import ConfigError, ImpossibleConfigError

TrainPrecision: TypeAlias = Literal["auto", "float32", "bfloat16", "float16"]
Optimizer: TypeAlias = Literal["adamw", "sgd", "adam"]
Crop: TypeAlias = Literal["none", "resized"]
Distillation: TypeAlias = Literal["none", "soft", "hard"]


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Checked):
    """One training recipe: optimiser, linear warm-up then cosine decay to zero, augmentation and regularisation.

    The default is AdamW with label smoothing, gradient clipping, shift and flip; everything else is off. Biases, norms,
    tokens and position embeddings are not decayed. All randomness comes from the trial's seed. A data set switches off
    augmentation that would change its labels: its ``flip`` covers flips, its ``shift`` everything that moves or hides
    parts of an image (shift, crop, RandAugment, erasing, cutmix). ``vitbench.recipe`` has published recipes.
    """

    epochs: int = 20
    batch_size: int = 32  # images per forward pass; a step accumulates ``accumulate`` of them
    lr: float = 2e-3
    weight_decay: float = 0.05  # adamw: decoupled, times the learning rate; sgd and adam: added to the gradient
    warmup_fraction: float = 0.1  # of all steps
    betas: tuple[float, float] = (0.9, 0.98)  # of adamw and adam
    label_smoothing: float = 0.1
    clip_grad_norm: float = 1.0  # 0: off
    shift_px: int = 0  # largest random shift, where the data set allows it
    flip: bool = True  # random horizontal flip, where the data set allows it
    precision: TrainPrecision = "auto"  # auto: bfloat16 autocast on CUDA, float32 on the CPU; float16 scales the loss
    optimizer: Optimizer = "adamw"
    momentum: float = 0.9  # of sgd, with Nesterov
    mixup: float = 0.0  # alpha of Beta(alpha, alpha), which draws the mixing weight of a batch; 0: off
    cutmix: float = 0.0  # likewise; where both are on, each batch draws one of the two
    crop: Crop = "none"  # resized: a random crop, resized to the image size
    crop_scale: tuple[float, float] = (0.08, 1.0)  # of crop=resized: fractions of the image area
    rand_augment: int = 0  # operations per image (Cubuk et al. 2019)
    rand_magnitude: int = 9  # of rand_augment, 0 to 10
    erase: float = 0.0  # probability of random erasing (Zhong et al. 2017)
    ema: float = 0.0  # decay of an exponential moving average of the weights, which is evaluated; 0: off
    accumulate: int = 1  # batches per optimiser step
    compile: bool = False  # torch.compile for the forward and backward pass
    layer_decay: float = 1.0  # learning rate × layer_decay^(layers above)
    init_from: str | None = None  # checkpoint file or variant:NAME; a head for other classes is initialised
    teacher: str | None = None  # checkpoint file, "zoo name:file", or variant:NAME of the same ablation
    distillation: Distillation = "none"  # soft: the teacher's logits; hard: its predicted class (Touvron et al. 2021)
    distillation_alpha: float = 0.5  # weight of the teacher's term; the labels get the rest
    distillation_tau: float = 3.0  # temperature of distillation=soft

    def _check(self) -> None:
        self._at_least(1, "batch_size", "accumulate")
        self._at_least(0 if self.init_from else 1, "epochs")  # 0: evaluate the checkpoint without training
        self._at_least(0, "weight_decay", "clip_grad_norm", "shift_px", "mixup", "cutmix", "rand_augment")
        self._at_least(0, "rand_magnitude")
        self._above(0, "lr", "layer_decay", "distillation_tau")
        self._rate("warmup_fraction", "label_smoothing", "momentum", "ema")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ConfigError(f"betas={self.betas} is not possible: each beta takes 0 up to, not including, 1")
        for name in ("erase", "layer_decay", "distillation_alpha"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name}={getattr(self, name)!r} is not possible: it takes 0 to 1")
        if self.rand_magnitude > 10:
            raise ConfigError(f"rand_magnitude={self.rand_magnitude} is not possible: it takes 0 to 10")
        low, high = self.crop_scale
        if not 0 < low <= high <= 1:
            raise ConfigError(
                f"crop_scale={self.crop_scale} is not possible: it takes (low, high) fractions of the area, up to 1"
            )
        for name in ("init_from", "teacher"):
            if getattr(self, name) == "":
                raise ConfigError(f"{name}='' is empty: give the path of a checkpoint, or None")
        if self.crop == "resized" and self.shift_px:
            raise ImpossibleConfigError(
                f"shift_px={self.shift_px} and crop=resized exclude each other: take shift_px=0"
            )
        if self.distillation != "none" and self.teacher is None:
            raise ImpossibleConfigError(
                f"distillation={self.distillation} needs a teacher: set teacher to a checkpoint file or variant:NAME"
            )
        if self.distillation == "none" and self.teacher is not None:
            raise ImpossibleConfigError(
                f"teacher={self.teacher} is unused with distillation=none: take distillation=soft or hard"
            )
