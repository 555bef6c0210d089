"""An image cut into patches, each mapped to a token by one linear map (a convolution whose stride is its kernel)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from vitbench.declare.sizes import as_pair
from vitbench.declare.vit import ViTConfig
from vitbench.models.norm import NORMS
from vitbench.models.stem import build_stem
from vitbench.utils.errors import UserError


class PatchEmbed(nn.Module):
    """Tokens of an image's patches, or of the patches of a stem's features (``backbone``), in reading order.

    The tokens are a view with the layout of the convolution (channels outermost). A caller that needs them contiguous
    copies them once, as ``VisionTransformer`` does when it adds the class token. ``patch_norm`` normalises each token,
    under the name that timm's ``PatchEmbed`` has for it.
    """

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.img_size = as_pair(config.img_size)
        self.backbone = build_stem(config)
        inputs = config.in_chans if self.backbone is None else self.backbone.num_features
        patch_h, patch_w = as_pair(config.patch_size)
        patch = patch_h // config.feature_stride, patch_w // config.feature_stride
        self.proj = nn.Conv2d(inputs, config.embed_dim, kernel_size=patch, stride=patch)
        self.norm = NORMS[config.norm](config.embed_dim, config.norm_eps) if config.patch_norm else None

    def forward(self, x: Float[Tensor, "batch in_chans height width"]) -> Float[Tensor, "batch patches dim"]:
        if x.shape[-2:] != self.img_size:
            height, width = self.img_size
            raise UserError(
                f"an image of {x.shape[-2]}×{x.shape[-1]} px does not fit this model, which takes {height}×{width}: "
                f"build one with img_size=({x.shape[-2]}, {x.shape[-1]})"
            )
        if self.backbone is not None:
            x = self.backbone(x)
        x = self.proj(x).flatten(2).transpose(1, 2)
        return x if self.norm is None else self.norm(x)
