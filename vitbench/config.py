"""Every knob of a model, a training run and a measurement, as frozen dataclasses. No torch.

``dataclasses.replace`` is the sweep, ``as_dict`` the record, ``__post_init__`` the validation: a config that exists
can be built. Names are timm's where timm has one.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self, TypeAlias, TypeVar

from vitbench.errors import ConfigError, ImpossibleConfigError, choices, unknown

Size: TypeAlias = int | tuple[int, int]
"""A side in pixels of a square, or (height, width)."""

PosEmbed: TypeAlias = Literal["none", "learned", "learned2d", "sincos1d", "sincos2d", "relative", "rope"]
PosEmbedAt: TypeAlias = Literal["stem", "every_layer", "every_layer_shared"]
Pool: TypeAlias = Literal["cls", "mean", "map"]
Stem: TypeAlias = Literal["patchify", "conv", "hybrid"]
Norm: TypeAlias = Literal["layernorm", "rmsnorm", "batchnorm"]
NormPosition: TypeAlias = Literal["pre", "post"]
Act: TypeAlias = Literal["gelu", "gelu_tanh", "relu", "silu"]
MlpKind: TypeAlias = Literal["mlp", "swiglu"]
AttentionKind: TypeAlias = Literal["sdpa", "eager"]
AttnMask: TypeAlias = Literal["none", "causal"]
Init: TypeAlias = Literal["timm", "jax", "classic", "moco"]
DropPathSchedule: TypeAlias = Literal["linear", "constant"]
ResNetStem: TypeAlias = Literal["imagenet", "cifar"]
ResNetBlock: TypeAlias = Literal["basic", "bottleneck"]
ResNetNorm: TypeAlias = Literal["batchnorm", "groupnorm"]
ResNetVariant: TypeAlias = Literal["plain", "d"]
Padding: TypeAlias = Literal["zeros", "circular"]
Dtype: TypeAlias = Literal["float32", "bfloat16", "float16"]
Placement: TypeAlias = Literal["own", "shared"]
TrainPrecision: TypeAlias = Literal["auto", "float32", "bfloat16", "float16"]
Optimizer: TypeAlias = Literal["adamw", "sgd", "adam"]
Crop: TypeAlias = Literal["none", "resized"]
Distillation: TypeAlias = Literal["none", "soft", "hard"]

RESNET_LAYERS: Mapping[int, tuple[ResNetBlock, tuple[int, ...]]] = types.MappingProxyType(
    {
        18: ("basic", (2, 2, 2, 2)),
        34: ("basic", (3, 4, 6, 3)),
        50: ("bottleneck", (3, 4, 6, 3)),
        101: ("bottleneck", (3, 4, 23, 3)),
        152: ("bottleneck", (3, 8, 36, 3)),
    }
)
"""Depth → block and blocks per stage (He et al. 2015, table 1)."""

CIFAR_STEM_BELOW_PX = 64
"""Under this side a ResNet that is fitted to data takes the 3×3 stride-1 stem: the ImageNet stem would leave it a
thirty-second of the resolution, and the comparison would be unfair: on CIFAR-100 a ResNet-18 is published at 66.5 %
with it (Hassani et al. 2021) and at 71 % with the other (kentaroy47/vision-transformers-cifar10)."""


def as_pair(size: Size) -> tuple[int, int]:
    """``8`` → ``(8, 8)``."""
    return (size, size) if isinstance(size, int) else size


def divisors(number: int) -> list[int]:
    return [i for i in range(1, number + 1) if number % i == 0]


@functools.cache
def _knobs(cls: type) -> dict[str, tuple[Any, frozenset[type], tuple[object, ...]]]:
    """Field → its annotation, the types all of whose values fit, and the words that it takes.

    The last two spare ``_fits`` its work in all but a few cases: a grid makes a hundred thousand configs.
    """
    return {
        name: (annotation, _plain_types(annotation), _words(annotation))
        for name, annotation in typing.get_type_hints(cls).items()
    }


def _plain_types(annotation: Any) -> frozenset[type]:
    if typing.get_origin(annotation) in {types.UnionType, typing.Union}:
        return frozenset[type]().union(*map(_plain_types, typing.get_args(annotation)))
    plain: dict[Any, set[type]] = {float: {int, float}, **{t: {t} for t in (int, bool, str, types.NoneType)}}
    return frozenset(plain.get(annotation, ()))


def _words(annotation: Any) -> tuple[object, ...]:
    return typing.get_args(annotation) if typing.get_origin(annotation) is Literal else ()


def _fits(value: object, annotation: Any) -> bool:
    """Whether ``value`` is of the annotated type; an int may stand for a float, a bool for neither."""
    origin = typing.get_origin(annotation)
    if origin is Literal:
        return any(value == word and type(value) is type(word) for word in typing.get_args(annotation))
    if origin in {types.UnionType, typing.Union}:
        return any(_fits(value, arm) for arm in typing.get_args(annotation))
    if origin is tuple:
        arms = typing.get_args(annotation)
        if not isinstance(value, tuple):
            return False
        if len(arms) == 2 and arms[1] is Ellipsis:
            return all(_fits(item, arms[0]) for item in value)
        return len(value) == len(arms) and all(_fits(i, a) for i, a in zip(value, arms, strict=True))
    if annotation is type(None):
        return value is None
    if annotation in {int, float}:
        return isinstance(value, (int, annotation)) and not isinstance(value, bool)
    return isinstance(value, origin or annotation)


def _describe(annotation: Any) -> str:
    """What a field takes, in words."""
    origin = typing.get_origin(annotation)
    if origin is Literal:
        return choices(typing.get_args(annotation))
    if origin in {types.UnionType, typing.Union}:
        return " or ".join(_describe(arm) for arm in typing.get_args(annotation))
    if origin is tuple:
        arms = typing.get_args(annotation)
        return "a tuple of " + _describe(arms[0]) if Ellipsis in arms else f"({', '.join(map(_describe, arms))})"
    names = {int: "a whole number", float: "a number", bool: "True or False", str: "text", type(None): "None"}
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))


@dataclass(frozen=True)
class _Checked:
    """Checks every field against its annotation on construction."""

    def __post_init__(self) -> None:
        self._check_values(_knobs(type(self)))  # type: ignore[arg-type]  # python/mypy#11469
        self._check()

    def replaced(self, values: Mapping[str, Any]) -> Self:
        """As ``dataclasses.replace``, in a third of the time: what stays as it is was checked when this was made."""
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__, **values)
        made._check_values(values)
        made._check()
        return made

    def _check_values(self, names: Iterable[str]) -> None:
        knobs = _knobs(type(self))  # type: ignore[arg-type]  # python/mypy#11469
        for name in names:
            annotation, plain, words = knobs[name]
            value = getattr(self, name)
            kind = type(value)
            if kind in plain or (kind is str and value in words) or _fits(value, annotation):
                continue
            if words and isinstance(value, str):
                raise ConfigError(unknown(name, value, words))
            raise ConfigError(f"{name}={value!r} is not possible: it takes {_describe(annotation)}")

    def _check(self) -> None:
        """Checks the relations between fields; each class says its own."""

    def _at_least(self, low: float, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if min(value) < low if isinstance(value, tuple) else value < low:
                raise ConfigError(f"{name}={value!r} is too small: it takes {low} or more")

    def _above(self, low: float, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if not value > low:
                raise ConfigError(f"{name}={value!r} is not possible: it takes more than {low}")

    def _rate(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise ConfigError(f"{name}={value!r} is not a rate: it takes 0 up to, not including, 1")


@dataclass(frozen=True, kw_only=True)
class ViTConfig(_Checked):
    """A vision transformer. The defaults are ViT-B/16 at 224 px (Dosovitskiy et al. 2021)."""

    img_size: Size = 224
    patch_size: Size = 16  # pixels of the image a token stands for, whatever the stem
    in_chans: int = 3
    num_classes: int = 1000  # 0: no classifier, the pooled features come out
    embed_dim: int = 768
    depth: int = 12
    num_heads: int = 12
    mlp_ratio: float = 4.0
    qkv_bias: bool = True
    pos_embed: PosEmbed = "learned"
    pos_embed_std: float = (
        0.02  # spread at the start, of the learned ones and of `relative`'s table; small widths want .5 to 1
    )
    pos_embed_at: PosEmbedAt = "stem"  # every_layer: again before each later block, learned ones anew or shared;
    # `relative` and `rope` act in every layer anyway, and fixed ones have nothing to learn anew
    patch_norm: bool = False  # a norm after the patch embedding
    pool: Pool = "cls"  # mean, map: no class token; mean or learned attention over what the final norm puts out
    num_registers: int = 0  # learned tokens that nobody reads (Darcet et al. 2024)
    distilled: bool = False  # DeiT's second token and head: both logits in training, their mean in evaluation
    representation_size: int | None = None  # width of a tanh layer before the head, as in the ImageNet-21k models
    stem: Stem = "patchify"  # conv: 3×3 stride 2 until a token is a pixel (ViT_C); hybrid: patches of ResNet features
    hybrid_layers: tuple[int, ...] = (3, 4, 9)  # of stem=hybrid: blocks per stage; (): its 7×7 stem alone
    hybrid_width: int = 64  # of stem=hybrid: channels of its 7×7 stem
    norm: Norm = "layernorm"
    norm_position: NormPosition = "pre"  # post: after each residual sum, none at the end (Vaswani et al. 2017)
    norm_eps: float = 1e-6
    act: Act = "gelu"  # of mlp=mlp and of pool=map; the gate of swiglu is a SiLU
    mlp: MlpKind = "mlp"
    qk_norm: bool = False  # queries and keys normed per head
    qk_scale: float | None = None  # of the scores; None: 1/√head_dim
    attention: AttentionKind = "sdpa"  # eager: spelt out in matrix products, with equal results
    attn_mask: AttnMask = "none"
    residual: bool = True  # False: each branch replaces its input
    layer_scale: float | None = None  # start of a learned factor per channel on each branch (Touvron et al. 2021)
    drop_rate: float = 0.0  # after the position embedding, the attention projection and both MLP layers
    attn_drop_rate: float = 0.0
    drop_path_rate: float = 0.0
    drop_path_schedule: DropPathSchedule = "linear"  # linear: 0 in the first block to the full rate in the last
    init: Init = "timm"

    def _check(self) -> None:
        self._at_least(1, "img_size", "patch_size", "in_chans", "embed_dim", "depth", "num_heads", "hybrid_width")
        self._at_least(0, "num_classes", "pos_embed_std", "num_registers")
        self._above(0, "mlp_ratio", "norm_eps")
        self._rate("drop_rate", "attn_drop_rate", "drop_path_rate")
        if self.representation_size is not None:
            self._at_least(1, "representation_size")
        if self.qk_scale is not None:
            self._above(0, "qk_scale")
        if self.layer_scale is not None:
            self._at_least(0, "layer_scale")
        self._check_sizes()
        self._check_positions()
        self._check_tokens()
        self._check_stem()
        if self.mlp == "swiglu" and self.act in {"gelu_tanh", "relu"}:
            raise ImpossibleConfigError(
                f"act={self.act} has no place in mlp=swiglu, whose gate is a SiLU: leave act out, or take mlp=mlp"
            )
        if not self.residual and self.drop_path_rate:
            raise ImpossibleConfigError(
                f"drop_path_rate={self.drop_path_rate} needs residual=True: a dropped branch would leave nothing; "
                "take drop_path_rate=0"
            )

    def _check_sizes(self) -> None:
        if self.mlp_dim < 1:
            raise ImpossibleConfigError(
                f"mlp_ratio={self.mlp_ratio} leaves no channel of embed_dim={self.embed_dim}: "
                f"it takes {1 / self.embed_dim:g} or more"
            )
        for side, patch in zip(as_pair(self.img_size), as_pair(self.patch_size), strict=True):
            if side % patch:
                raise ImpossibleConfigError(
                    f"patch_size={self.patch_size} does not divide img_size={self.img_size}: "
                    f"a side of {side} takes {choices(divisors(side))}"
                )
        if self.embed_dim % self.num_heads:
            raise ImpossibleConfigError(
                f"num_heads={self.num_heads} does not divide embed_dim={self.embed_dim}: "
                f"it takes {choices(divisors(self.embed_dim))}"
            )

    def _check_positions(self) -> None:
        share = {"sincos2d": 4, "sincos1d": 2, "learned2d": 2}.get(self.pos_embed, 1)
        if self.embed_dim % share:
            raise ImpossibleConfigError(
                f"pos_embed={self.pos_embed} needs an embed_dim divisible by {share}, not {self.embed_dim}: "
                f"try {self.embed_dim // share * share + share}"
            )
        if self.pos_embed == "rope" and self.head_dim % 4:
            fitting = [h for h in divisors(self.embed_dim) if self.embed_dim // h % 4 == 0]
            raise ImpossibleConfigError(
                f"pos_embed=rope needs a head size divisible by 4, not embed_dim/num_heads = {self.head_dim}: "
                + (f"try num_heads={choices(fitting)}" if fitting else "take an embed_dim divisible by 4")
            )

    def _check_tokens(self) -> None:
        if self.distilled and self.pool != "cls":
            raise ImpossibleConfigError(
                f"distilled=True reads its token beside the class token, which pool={self.pool} has not: take pool=cls"
            )
        if self.distilled and self.representation_size is not None:
            raise ImpossibleConfigError(
                f"representation_size={self.representation_size} stands before one head, distilled=True has two: "
                "leave one of them out"
            )
        if self.attn_mask == "causal" and self.pool == "cls":
            raise ImpossibleConfigError(
                "attn_mask=causal would hide all patches from the class token, which comes first: "
                "take pool=mean or pool=map"
            )

    def _check_stem(self) -> None:
        strides = [patch // self.feature_stride for patch in as_pair(self.patch_size)]
        if self.stem == "conv":
            patch = as_pair(self.patch_size)[0]
            if as_pair(self.patch_size) != (patch, patch) or patch < 2 or patch & (patch - 1):
                raise ImpossibleConfigError(
                    f"stem=conv halves its input until a token is a pixel, which patch_size={self.patch_size} is not "
                    "made for: it takes 2, 4, 8, 16 or another power of 2"
                )
            if self.embed_dim % (patch // 2):
                raise ImpossibleConfigError(
                    f"stem=conv of patch_size={patch} needs an embed_dim divisible by {patch // 2}, "
                    f"not {self.embed_dim}: try {self.embed_dim // (patch // 2) * (patch // 2) + patch // 2}"
                )
        if self.stem == "hybrid":
            if self.hybrid_layers and min(self.hybrid_layers) < 1:
                raise ConfigError(
                    f"hybrid_layers={self.hybrid_layers} is not possible: each stage takes 1 or more blocks"
                )
            if self.hybrid_width % 32:
                raise ImpossibleConfigError(
                    f"hybrid_width={self.hybrid_width} does not fall into 32 groups: "
                    f"try {self.hybrid_width // 32 * 32 + 32}"
                )
            if any(s * self.feature_stride != p for s, p in zip(strides, as_pair(self.patch_size), strict=True)):
                raise ImpossibleConfigError(
                    f"hybrid_layers={self.hybrid_layers} put a feature every {self.feature_stride} pixels, "
                    f"which does not divide patch_size={self.patch_size}: try patch_size={self.feature_stride}, "
                    "or fewer stages"
                )

    @property
    def grid_size(self) -> tuple[int, int]:
        """Patches down and across."""
        (height, width), (patch_h, patch_w) = as_pair(self.img_size), as_pair(self.patch_size)
        return height // patch_h, width // patch_w

    @property
    def num_patches(self) -> int:
        return self.grid_size[0] * self.grid_size[1]

    @property
    def num_prefix_tokens(self) -> int:
        """Tokens that are not patches and stand before them: class token, distillation token, registers."""
        return (self.pool == "cls") + self.distilled + self.num_registers

    @property
    def feature_stride(self) -> int:
        """Pixels of the image between neighbours in the feature map that is cut into patches."""
        if self.stem == "conv":
            return as_pair(self.patch_size)[0]
        return 4 * 2 ** max(len(self.hybrid_layers) - 1, 0) if self.stem == "hybrid" else 1

    @property
    def head_dim(self) -> int:
        return self.embed_dim // self.num_heads

    @property
    def mlp_dim(self) -> int:
        return int(self.embed_dim * self.mlp_ratio)


@dataclass(frozen=True, kw_only=True)
class ResNetConfig(_Checked):
    """A residual network (He et al. 2015; v1.5 as torchvision builds it). The defaults are ResNet-50 at 224 px."""

    depth: int | None = 50  # 18, 34, 50, 101, 152; None: `layers` and `block` say it
    layers: tuple[int, ...] | None = None
    block: ResNetBlock | None = None
    width: int = 64  # channels of the first stage; each stage doubles them
    stem: ResNetStem = "imagenet"  # imagenet: 7×7 stride 2 and max-pool; cifar: 3×3 stride 1
    norm: ResNetNorm = "batchnorm"  # groupnorm: 32 groups, or as many of them as divide the channels
    residual: bool = True  # False: a plain network, no shortcuts (He et al. 2015, table 2)
    padding: Padding = "zeros"  # circular: what leaves an image on one side enters on the other
    variant: ResNetVariant = "plain"  # d: three 3×3 for the 7×7, mean pooling before a shortcut's 1×1 (He et al. 2019)
    img_size: Size = 224
    in_chans: int = 3
    num_classes: int = 1000

    def _check(self) -> None:
        self._at_least(1, "img_size", "in_chans", "width")
        self._at_least(0, "num_classes")
        if (self.layers is None) != (self.block is None):
            raise ConfigError("layers and block go together: layers=(2, 2, 2), block='basic'")
        if self.layers is None and self.depth not in RESNET_LAYERS:
            raise ConfigError(
                f"depth={self.depth} is no ResNet: {choices(RESNET_LAYERS)} exist, "
                "or give layers=(2, 2, 2), block='basic' with depth=None"
            )
        if self.layers is not None and self.depth is not None:
            raise ConfigError(f"depth={self.depth} and layers={self.layers} say it twice: give depth=None with layers")
        if self.layers is not None and (not self.layers or min(self.layers) < 1):
            raise ConfigError(f"layers={self.layers} is not possible: each stage takes 1 or more blocks")
        if self.variant == "d" and self.stem == "imagenet" and self.width < 2:
            raise ImpossibleConfigError("variant=d halves the width in its stem: width=1 takes variant=plain")
        if self.padding == "circular" and self.stem == "imagenet" and min(as_pair(self.img_size)) < 3:
            raise ImpossibleConfigError(
                f"padding=circular wraps 3 pixels around in the 7×7 stem, more than img_size={self.img_size} has: "
                "take stem=cifar"
            )

    @property
    def stages(self) -> tuple[ResNetBlock, tuple[int, ...]]:
        """Block and blocks per stage."""
        if self.layers is not None and self.block is not None:
            return self.block, self.layers
        return RESNET_LAYERS[self.depth or 0]


LIBRARIES: Mapping[str, str] = types.MappingProxyType(
    {"timm": "such as timm:convnext_tiny", "torchvision": "such as torchvision:convnext_tiny"}
)
"""Packages whose models have names, with an example; each is the name of the extra that installs it, too."""


@dataclass(frozen=True, kw_only=True)
class ExternalConfig(_Checked):
    """A model that somebody else wrote: ``timm:NAME``, ``torchvision:NAME``, or ``package.module:function``.

    A module is found also beside the ablation file. The function is called with ``kwargs``, and with those of
    ``img_size``, ``in_chans`` and ``num_classes`` that its signature names; a library's model with those that it
    takes. What comes back is a module that maps (batch, in_chans, height, width) to (batch, num_classes).
    """

    source: str = field(kw_only=False)
    kwargs: Mapping[str, Any] = field(default_factory=dict, kw_only=False, hash=False)
    img_size: Size = 224
    in_chans: int = 3
    num_classes: int = 1000

    def _check(self) -> None:
        self._at_least(1, "img_size", "in_chans", "num_classes")
        module, colon, function = self.source.partition(":")
        if colon and module in LIBRARIES:
            if not re.fullmatch(r"\w[\w.-]*", function):
                raise ConfigError(f"source={self.source!r} names no model: write {module}:NAME, {LIBRARIES[module]}")
            return
        if not colon or not function.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
            raise ConfigError(
                f"source={self.source!r} names no model: write timm:NAME, torchvision:NAME or package.module:function"
            )


ModelConfig: TypeAlias = ViTConfig | ResNetConfig | ExternalConfig


@dataclass(frozen=True, kw_only=True)
class TrainConfig(_Checked):
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


@dataclass(frozen=True, kw_only=True)
class MeasureConfig(_Checked):
    """How costs are measured: latency, training step, throughput, memory."""

    batch_size: int = 8
    dtype: Dtype = "float32"
    threads: int = 1  # two torch threads on a busy two-core machine were 35 times slower than one
    blocks: int = 12  # fresh placements of a timing session, at least
    cycles: int = 6  # mirrored permutations in a block, at most
    target: float = 0.02  # half-width of every latency ratio at which a session ends
    looks: int = 4  # how often that is looked at: after 12, 18, 27 and 41 blocks; 1: no more than `blocks` are timed
    budget_s: float = 60.0  # of a session: fewer cycles where `blocks` would not fit, and no further block beyond it
    placement: Placement = "own"  # shared: parameters of one shape in the same memory for all, in forward passes
    processes: int = 1  # workers that each time everything, one after another; from 3 on they are the units
    warmup_s: float = 2.0  # at most
    compile: bool = False  # torch.compile, before anything is timed
    channels_last: bool = False  # images and convolution weights in NHWC order
    checkpoint_activations: bool = False  # a training step keeps a block's input alone, and runs the block again
    resident: bool = False  # what the kernel gives a step, too, in a fresh process for each: 4 s of CPU a variant

    def _check(self) -> None:
        self._at_least(1, "batch_size", "threads", "cycles", "looks", "processes")
        self._at_least(2, "blocks")
        self._at_least(0, "warmup_s")
        self._above(0, "target", "budget_s")
        if self.processes == 2:
            raise ConfigError("processes=2 are too few to be units and too many to be one: it takes 1, or 3 and more")


@dataclass(frozen=True, kw_only=True)
class DataConfig(_Checked):
    """How much of the training split a trial sees, and at which resolution. Validation and test stay whole.

    Which images is drawn from the trial's seed, class by class; for one seed a smaller subset lies inside a larger one.
    """

    fraction: float = 1.0  # of every class
    per_class: int | None = None  # images of every class; None: `fraction` says it
    same_steps: bool = False  # at least as many steps as the whole split would give: fewer images, seen more often
    scale: float = 1.0  # of the side of every image, in all splits; the model is made for what comes of it

    def _check(self) -> None:
        if not 0 < self.fraction <= 1:
            raise ConfigError(f"fraction={self.fraction!r} is no part of the data: it takes more than 0, up to 1")
        self._above(0, "scale")
        if self.per_class is not None:
            self._at_least(1, "per_class")
            if self.fraction != 1:
                raise ImpossibleConfigError(
                    f"per_class={self.per_class} and fraction={self.fraction} say it twice: leave one of them out"
                )


@dataclass(frozen=True, kw_only=True)
class Tuning(_Checked):
    """The same number of tries over learning rate and weight decay for everyone, judged on the validation split.

    The recipe's own values are the first try; the others are log-uniform within the bounds, and the same for all.
    Afterwards every variant is trained under its winner too, beside the recipe that all share.
    """

    tries: int
    lr: tuple[float, float] = (2e-4, 2e-2)  # lowest, highest
    weight_decay: tuple[float, float] = (1e-3, 0.5)
    seeds: int = 1  # trainings of each try; none of them is a seed that counts
    per: Literal["family", "variant"] = "family"  # family: its first variant is tried, and its winner serves them all;
    # along an axis of the model that favours the baseline: take variant, which costs as many tries for each

    def _check(self) -> None:
        self._at_least(1, "tries", "seeds")
        for name in ("lr", "weight_decay"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ConfigError(f"{name}={(low, high)} is no range: it takes (low, high), both above 0")


Config: TypeAlias = ModelConfig | TrainConfig | MeasureConfig | DataConfig | Tuning
C = TypeVar("C", bound="_Checked")

_CLASSES: Mapping[str, type[Config]] = types.MappingProxyType(
    {
        cls.__name__: cls
        for cls in (ViTConfig, ResNetConfig, ExternalConfig, TrainConfig, MeasureConfig, DataConfig, Tuning)
    }
)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else dict(value) if isinstance(value, Mapping) else value


def as_dict(config: Config) -> dict[str, Any]:
    """A config as plain JSON values, its class under ``type``; ``from_dict`` takes it back."""
    values = {f.name: _plain(getattr(config, f.name)) for f in dataclasses.fields(config)}
    return {"type": type(config).__name__, **values}


def defaults(cls: type[Config]) -> dict[str, Any]:
    """The fields of a config class that have a default, as ``as_dict`` would write it."""
    found = {}
    for f in dataclasses.fields(cls):
        if f.default is not dataclasses.MISSING:
            found[f.name] = _plain(f.default)
        elif f.default_factory is not dataclasses.MISSING:
            found[f.name] = _plain(f.default_factory())
    return found


def essence(values: Mapping[str, Any]) -> dict[str, Any]:
    """What ``as_dict`` wrote, by this version or an earlier one, without the fields that have their class's default.

    Two configs are the same exactly if their essences are, however many knobs have been added in between.
    """
    known = _known_defaults(values)
    return {k: v for k, v in values.items() if k == "type" or k not in known or _plain(v) != known[k]}


def completed(values: Mapping[str, Any]) -> dict[str, Any]:
    """What ``as_dict`` wrote, with the fields that an earlier version did not have yet at their default.

    Takes a mapping that holds such configs, too.
    """
    known = _known_defaults(values)
    if known:
        return {**known, **values}
    return {k: completed(v) if isinstance(v, Mapping) else v for k, v in values.items()}


def _known_defaults(values: Mapping[str, Any]) -> Mapping[str, Any]:
    return _defaults(str(values.get("type")))


@functools.lru_cache(maxsize=64)
def _defaults(name: str) -> Mapping[str, Any]:
    """Of a config class by its name, to be read only: ``essence`` and ``completed`` see every record."""
    cls = _CLASSES.get(name)
    return types.MappingProxyType({} if cls is None else defaults(cls))


def from_dict(values: Mapping[str, Any]) -> Config:
    """The config that ``as_dict`` wrote.

    Raises:
        ConfigError: the type or a field is unknown, or a value is not possible.
    """
    rest = dict(values)
    name = rest.pop("type", None)
    if name not in _CLASSES:
        raise ConfigError(unknown("config type", name, _CLASSES))
    cls: type[Any] = _CLASSES[name]
    known = [f.name for f in dataclasses.fields(cls)]
    for key in rest:
        if key not in known:
            raise ConfigError(unknown(f"{name} field", key, known))
    config: Config = cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in rest.items()})
    return config


def with_values(config: C, values: Mapping[str, Any]) -> C:
    """The config with fields replaced, all at once; an unknown name is answered with the nearest.

    Raises:
        ConfigError: no such field, or not such a value.
        ImpossibleConfigError: the values exist, but not beside the others.
    """
    known = _knobs(type(config))  # type: ignore[arg-type]  # python/mypy#11469
    for name in values:
        if name not in known:
            raise ConfigError(unknown(f"{type(config).__name__} field", name, known))
    return config.replaced(values) if values else config


def scaled(side: int, scale: float) -> int:
    """The side of an image ``scale`` times as large: rounded, at least a pixel."""
    return max(1, round(side * scale))


def fit(config: ModelConfig, *, img_size: Size, in_chans: int, num_classes: int) -> ModelConfig:
    """The config for other data: image size, channels and classes, and a ResNet's stem by the image's size."""
    fitted = dataclasses.replace(config, img_size=img_size, in_chans=in_chans, num_classes=num_classes)
    if isinstance(fitted, ResNetConfig) and min(as_pair(img_size)) < CIFAR_STEM_BELOW_PX:
        return dataclasses.replace(fitted, stem="cifar")
    return fitted
