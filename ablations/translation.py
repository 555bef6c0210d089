"""Is a digit that was learned at one place known at another?

    python -m vitbench.ablate translation        # about 4 minutes on two CPU cores

The test split of `translation` has three groups, which the report shows apart. At the place of training every ViT does
alike, and so does every CNN: a difference in the mean of all three, on which the claims are judged, comes from shifts.

Expected: a ViT without positions answers exactly alike after a shift by whole patches, and so does a CNN with circular
padding; with zero padding it loses little. What learned positions lose there is decided by their start, from which
training hardly moves those where no digit stood: little with a spread of .02, nearly all with a spread of 1. After any
other shift all fall far.
"""

from vitbench import Ablation, Claim, ResNetConfig, ViTConfig


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
    combined={"learned_std_0.02": {"pos_embed": "learned", "pos_embed_std": 0.02}},
    references={"resnet_zeros": resnet("zeros"), "resnet_circular": resnet("circular")},
    data="translation",
    claims=(
        Claim(
            "learned positions that start small lose less to shifts than those that start large",
            metric="accuracy",
            better="learned_std_0.02",
            than="pos_embed=learned",
            source="this project, CHANGELOG 0.1.0",
        ),
        Claim(
            "a CNN loses less to shifts with circular padding than with zeros",
            metric="accuracy",
            better="resnet_circular",
            than="resnet_zeros",
            source="Kayhan and van Gemert 2020, arXiv 2003.07064: zeros at the border tell a CNN where it is",
        ),
    ),
)
