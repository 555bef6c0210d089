"""Class token, mean or attention: how should a ViT pool its tokens?

    python -m vitbench.ablate pooling        # about 3 minutes on two CPU cores

Expected: class token and mean are equal once each has its own learning rate (ViT paper, figure 9: 8e-4 and 3e-4). Under
one recipe the mean led in SimpleViT (table 1, S/16 at 90 epochs: 76.5 against 75.0).
"""

from vitbench import Ablation, Claim, zoo

VIT = "Dosovitskiy et al. 2021, figure 9; there each at its own learning rate"

ABLATION = Ablation(
    question="Class token, mean or attention: how should a ViT pool its tokens?",
    baseline=zoo("vit_digits"),
    axes={"pool": ("cls", "mean", "map")},
    claims=(
        Claim("class token and mean pooling are equal within a point", equal=("cls", "mean"), margin=0.01, source=VIT),
        Claim(
            "mean pooling beats the class token",
            better="mean",
            than="cls",
            source="Beyer et al. 2022 (SimpleViT), table 1",
        ),
    ),
)
