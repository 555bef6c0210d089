"""``ViTConfig``: every setting of a vision transformer, under timm's names where timm has one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from vitbench.declare.model import Family, ModelConfig
from vitbench.declare.sizes import Size, as_pair, divisors
from vitbench.utils.errors import ConfigError, ImpossibleConfigError, choices

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


@dataclass(frozen=True, kw_only=True)
class ViTConfig(ModelConfig):
    """A vision transformer. The defaults are ViT-B/16 at 224 px (Dosovitskiy et al. 2021)."""

    patch_size: Size = 16  # pixels of the image that one token covers, whatever the stem
    embed_dim: int = 768
    depth: int = 12
    num_heads: int = 12
    mlp_ratio: float = 4.0
    qkv_bias: bool = True
    pos_embed: PosEmbed = "learned"
    pos_embed_std: float = (
        0.02  # standard deviation of the initial learned positions and `relative` biases; small widths need .5 to 1
    )
    pos_embed_at: PosEmbedAt = "stem"  # every_layer: also before each later block, with its own learned table or
    # a shared one; `relative` and `rope` act in every layer anyway, and fixed tables are the same in each
    patch_norm: bool = False  # a norm after the patch embedding
    pool: Pool = "cls"  # mean, map: no class token; mean of, or learned attention over, the final norm's output
    num_registers: int = 0  # learned tokens that no head reads (Darcet et al. 2024)
    distilled: bool = False  # DeiT's second token and head: both logits in training, their mean in evaluation
    representation_size: int | None = None  # width of a tanh layer before the head, as in the ImageNet-21k models
    stem: Stem = (
        "patchify"  # conv: 3×3 stride 2 until each token is one pixel (ViT_C); hybrid: patches of ResNet features
    )
    hybrid_layers: tuple[int, ...] = (3, 4, 9)  # of stem=hybrid: blocks per stage; (): only its 7×7 stem
    hybrid_width: int = 64  # of stem=hybrid: channels of its 7×7 stem
    norm: Norm = "layernorm"
    norm_position: NormPosition = "pre"  # post: after each residual sum, none at the end (Vaswani et al. 2017)
    norm_eps: float = 1e-6
    act: Act = "gelu"  # of mlp=mlp and of pool=map; the gate of swiglu is a SiLU
    mlp: MlpKind = "mlp"
    qk_norm: bool = False  # queries and keys normed per head
    qk_scale: float | None = None  # of the scores; None: 1/√head_dim
    attention: AttentionKind = "sdpa"  # eager: explicit matrix products, with equal results
    attn_mask: AttnMask = "none"
    residual: bool = True  # False: each branch replaces its input
    layer_scale: float | None = (
        None  # initial value of a learned factor per channel on each branch (Touvron et al. 2021)
    )
    drop_rate: float = 0.0  # after the position embedding, the attention projection and both MLP layers
    attn_drop_rate: float = 0.0
    drop_path_rate: float = 0.0
    drop_path_schedule: DropPathSchedule = "linear"  # linear: 0 in the first block to the full rate in the last
    init: Init = "timm"

    def _check(self) -> None:
        super()._check()
        self._at_least(1, "patch_size", "embed_dim", "depth", "num_heads", "hybrid_width")
        self._at_least(0, "pos_embed_std", "num_registers")
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
                f"act={self.act} does not apply to mlp=swiglu, whose gate is a SiLU: leave act out, or take mlp=mlp"
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
                f"distilled=True needs a class token beside its own, and pool={self.pool} has none: take pool=cls"
            )
        if self.distilled and self.representation_size is not None:
            raise ImpossibleConfigError(
                f"representation_size={self.representation_size} needs a single head, and distilled=True has two: "
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
                    f"stem=conv halves the image until each token is one pixel, so patch_size={self.patch_size} is not "
                    "possible: it takes 2, 4, 8, 16 or another power of 2"
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
                    f"hybrid_width={self.hybrid_width} cannot be divided into 32 groups: "
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
        """(rows, columns) of patches."""
        (height, width), (patch_h, patch_w) = as_pair(self.img_size), as_pair(self.patch_size)
        return height // patch_h, width // patch_w

    @property
    def num_patches(self) -> int:
        return self.grid_size[0] * self.grid_size[1]

    @property
    def num_prefix_tokens(self) -> int:
        """Number of tokens before the patches: class token, distillation token, registers."""
        return (self.pool == "cls") + self.distilled + self.num_registers

    @property
    def feature_stride(self) -> int:
        """Pixels of the image from one element to the next in the feature map that is cut into patches."""
        if self.stem == "conv":
            return as_pair(self.patch_size)[0]
        return 4 * 2 ** max(len(self.hybrid_layers) - 1, 0) if self.stem == "hybrid" else 1

    @property
    def head_dim(self) -> int:
        return self.embed_dim // self.num_heads

    @property
    def mlp_dim(self) -> int:
        return int(self.embed_dim * self.mlp_ratio)


def _label(config: ViTConfig) -> str:
    patch = "x".join(map(str, dict.fromkeys(as_pair(config.patch_size))))
    return f"vit_p{patch}_d{config.embed_dim}_l{config.depth}"


FAMILY = Family(
    name="ViT",
    config=ViTConfig,
    label=_label,
    build="vitbench.models.vit:VisionTransformer",
    builds_on_meta=True,
    takes_any_img_size=False,
    products="vitbench.models.vit.closed_form:products",
    memory="vitbench.models.vit.closed_form_memory:elements_at_peak",
    sizes="vitbench.models.vit.size_candidates:SIZES",
)
