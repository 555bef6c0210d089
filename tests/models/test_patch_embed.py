"""Patches are cut in reading order; an image of another size is refused in one sentence."""

from __future__ import annotations

import pytest
import torch

from vitbench.declare.vit import ViTConfig
from vitbench.models.patch_embed import PatchEmbed
from vitbench.utils.errors import UserError


@pytest.mark.parametrize(("img_size", "patch_size"), [(6, 2), ((4, 6), 2), ((6, 4), (3, 2))])
def test_a_token_is_a_linear_map_of_its_patch(img_size, patch_size):
    torch.manual_seed(0)
    embed = PatchEmbed(ViTConfig(img_size=img_size, patch_size=patch_size, embed_dim=5, num_heads=1)).double()
    x = torch.randn(2, 3, *embed.img_size, dtype=torch.float64)
    weight, bias = embed.proj.weight.flatten(1), embed.proj.bias
    down, across = embed.proj.kernel_size
    expected = [
        x[:, :, top : top + down, left : left + across].flatten(1) @ weight.T + bias
        for top in range(0, x.shape[2], down)
        for left in range(0, x.shape[3], across)
    ]
    torch.testing.assert_close(embed(x), torch.stack(expected, dim=1))


def test_another_image_size_is_named():
    config = ViTConfig(img_size=4, patch_size=2, in_chans=1, embed_dim=4, num_heads=1)
    with pytest.raises(UserError, match=r"an image of 8×4 px does not fit this model, which takes 4×4: .*\(8, 4\)"):
        PatchEmbed(config)(torch.zeros(1, 1, 8, 4))
