"""Does a CNN know where a thing is, and from what?

    python -m vitbench.ablate padding        # about 3 minutes on two CPU cores

On `quadrant`, where only position tells the class (chance 25 %).

Expected: the zeros at the border tell a CNN where it is, circular padding leaves it at chance, and so is a ViT without
position embeddings, which cannot be above it (Kayhan and van Gemert 2020; the data set's own docstring).
"""

from vitbench import Ablation, Claim, ResNetConfig, TrainConfig, ViTConfig


def vit(pos_embed: str) -> ViTConfig:
    shape = {"img_size": 16, "patch_size": 4, "in_chans": 1, "num_classes": 4, "embed_dim": 64, "depth": 2}
    return ViTConfig(**shape, num_heads=4, pos_embed=pos_embed, pool="mean", init="moco", pos_embed_std=1.0)


ABLATION = Ablation(
    question="Does a CNN know where a thing is, and from what?",
    baseline=ResNetConfig(
        depth=None,
        layers=(1, 1, 1),
        block="basic",
        width=16,
        stem="cifar",
        img_size=16,
        in_chans=1,
        num_classes=4,
    ),
    axes={"padding": ("zeros", "circular")},
    references={"vit_none": vit("none"), "vit_learned": vit("learned")},
    data="quadrant",
    train=TrainConfig(epochs=40),
    claims=(
        Claim(
            "a CNN with zero padding knows position, one with circular padding does not",
            metric="accuracy",
            better="zeros",
            than="circular",
            source="Kayhan and van Gemert 2020, arXiv 2003.07064",
        ),
        Claim(
            "without position embeddings a ViT is as lost as a circular CNN, within 5 points",
            metric="accuracy",
            equal=("circular", "vit_none"),
            margin=0.05,
            source="by construction of `quadrant`: exactly 25 %",
        ),
    ),
)
