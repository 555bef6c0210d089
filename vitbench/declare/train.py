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
    """One recipe: optimiser, linear warm-up then cosine to zero, and what is done to images, labels and weights.

    The default is AdamW with label smoothing, clipping, shift and flip, and everything else off. No decay on biases,
    norms, tokens and position embeddings. Everything is drawn from the trial's seed. What would change a label is left
    out where the data set says so: flips by its ``flip``, and by its ``shift`` all that moves or covers parts of an
    image (shift, crop, RandAugment, erasing, cutmix). ``vitbench.recipe`` has published ones.
    """

    epochs: int = 20
    batch_size: int = 32  # images of one forward pass; a step takes ``accumulate`` of them
    lr: float = 2e-3
    weight_decay: float = 0.05  # adamw: decoupled, times the learning rate; sgd and adam: added to the gradient
    warmup_fraction: float = 0.1  # of all steps
    betas: tuple[float, float] = (0.9, 0.98)  # of adamw and adam
    label_smoothing: float = 0.1
    clip_grad_norm: float = 1.0  # 0: off
    shift_px: int = 0  # random shift by up to so many pixels, where the data set allows it
    flip: bool = True  # random horizontal flip, where the data set allows it
    precision: TrainPrecision = "auto"  # auto: bfloat16 autocast on CUDA, float32 on the CPU; float16 scales its loss
    optimizer: Optimizer = "adamw"
    momentum: float = 0.9  # of sgd, Nesterov's
    mixup: float = 0.0  # alpha of Beta(alpha, alpha), from which a batch's share is drawn; 0: off
    cutmix: float = 0.0  # alpha likewise; with mixup too, each batch takes one of the two by a coin
    crop: Crop = "none"  # resized: a random part of the image at the image's size
    crop_scale: tuple[float, float] = (0.08, 1.0)  # of crop=resized: shares of the image's area
    rand_augment: int = 0  # operations an image (Cubuk et al. 2019)
    rand_magnitude: int = 9  # of rand_augment, of 10
    erase: float = 0.0  # probability that a rectangle of an image becomes noise (Zhong et al. 2017)
    ema: float = 0.0  # decay of a running mean of the weights, which is then what is evaluated; 0: off
    accumulate: int = 1  # batches whose gradients make one step
    compile: bool = False  # torch.compile of the training step's forward and backward pass
    layer_decay: float = 1.0  # learning rate × layer_decay^(layers above)
    init_from: str | None = None  # a checkpoint file or variant:NAME to start from; a head of other classes is left new
    teacher: str | None = None  # a checkpoint file, "zoo name:file", or variant:NAME of the same ablation
    distillation: Distillation = "none"  # of the teacher's logits, or of the class that it names (Touvron et al. 2021)
    distillation_alpha: float = 0.5  # weight of the teacher's term; the labels' has the rest
    distillation_tau: float = 3.0  # temperature of distillation=soft

    def _check(self) -> None:
        self._at_least(1, "batch_size", "accumulate")
        self._at_least(0 if self.init_from else 1, "epochs")  # 0: what it starts from is tested as it is
        self._at_least(0, "weight_decay", "clip_grad_norm", "shift_px", "mixup", "cutmix", "rand_augment")
        self._at_least(0, "rand_magnitude")
        self._above(0, "lr", "layer_decay", "distillation_tau")
        self._rate("warmup_fraction", "label_smoothing", "momentum", "ema")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ConfigError(f"betas={self.betas} are no rates: each takes 0 up to, not including, 1")
        for name in ("erase", "layer_decay", "distillation_alpha"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name}={getattr(self, name)!r} is not possible: it takes 0 to 1")
        if self.rand_magnitude > 10:
            raise ConfigError(f"rand_magnitude={self.rand_magnitude} is not possible: it takes 0 to 10")
        low, high = self.crop_scale
        if not 0 < low <= high <= 1:
            raise ConfigError(
                f"crop_scale={self.crop_scale} is not possible: it takes (low, high) shares of the area, up to 1"
            )
        for name in ("init_from", "teacher"):
            if getattr(self, name) == "":
                raise ConfigError(f"{name}='' names nothing: give the path of a checkpoint, or None")
        if self.crop == "resized" and self.shift_px:
            raise ImpossibleConfigError(
                f"shift_px={self.shift_px} and crop=resized both choose the part that is seen: take shift_px=0"
            )
        if self.distillation != "none" and self.teacher is None:
            raise ImpossibleConfigError(
                f"distillation={self.distillation} needs a teacher: set teacher to a checkpoint file or variant:NAME"
            )
        if self.distillation == "none" and self.teacher is not None:
            raise ImpossibleConfigError(
                f"teacher={self.teacher} teaches nothing with distillation=none: take distillation=soft or hard"
            )
