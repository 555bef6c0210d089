"""Is a digit that was learned at one place known at another?

    python -m vitbench.ablate translation        # about 4 minutes on two CPU cores

The test split of `translation` has three groups, which the report shows apart; their mean says nothing by itself.

Expected: a ViT without positions answers exactly alike after a shift by whole patches; one with positions loses, most
where the untrained ones are large (spread 1 here); a CNN loses little, with circular padding nothing; after any other
shift all fall far (a pilot, one seed and spread .02: same place / whole patches / any: ViT none 95.6 / 95.6 / 27.2 %,
learned 95.6 / 91.9 / 25.6, CNN 99.7 / 98.1 / 33.6, circular 99.4 / 99.4 / 38.1).
"""

from vitbench import Ablation, ResNetConfig, ViTConfig


def resnet(padding: str) -> ResNetConfig:
    return ResNetConfig(depth=None, layers=(1, 1, 1), block="basic", width=16, padding=padding)


ABLATION = Ablation(
    question="Is a digit that was learned at one place known at another?",
    baseline=ViTConfig(
        img_size=16,
        patch_size=4,
        in_chans=1,
        num_classes=10,
        embed_dim=64,
        depth=2,
        num_heads=4,
        init="moco",
        pos_embed_std=1.0,
    ),
    axes={"pos_embed": ("learned", "none", "sincos2d")},
    references={"resnet_zeros": resnet("zeros"), "resnet_circular": resnet("circular")},
    data="translation",
)
