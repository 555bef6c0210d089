"""How should a ViT be read out: class token, mean or attention?

    python -m vitbench.ablate pooling        # about 3 minutes on two CPU cores

Expected: class token and mean are equal once the learning rate is tuned for each (ViT paper, figure 9: 8e-4 for the
token, 3e-4 for the mean); at one recipe the mean was ahead in SimpleViT (table 1, S/16 at 90 epochs: 76.5 against
75.0).
"""

from vitbench import Ablation, Claim, ViTConfig

ABLATION = Ablation(
    question="How should a ViT be read out: class token, mean or attention?",
    baseline=ViTConfig(
        img_size=8,
        patch_size=2,
        in_chans=1,
        num_classes=10,
        embed_dim=64,
        depth=4,
        num_heads=4,
        init="moco",
        pos_embed_std=1.0,
    ),
    axes={"pool": ("cls", "mean", "map")},
    claims=(
        Claim(
            "class token and mean pooling are equal within a point",
            metric="accuracy",
            equal=("cls", "mean"),
            margin=0.01,
            source="Dosovitskiy et al. 2021, figure 9; there each at its own learning rate",
        ),
        Claim(
            "mean pooling beats the class token",
            metric="accuracy",
            better="mean",
            than="cls",
            source="Beyer et al. 2022 (SimpleViT), table 1",
        ),
    ),
)
