"""How wide should a ViT be?

    python -m vitbench.ablate width        # about 3 minutes on two CPU cores

Expected: width helps least of all ways to grow (ViT paper, figure 8: depth most, then patches, then width); its cost
grows with the square. The number of heads stays four.
"""

from vitbench import Ablation, Claim, ViTConfig

ABLATION = Ablation(
    question="How wide should a ViT be?",
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
    axes={"embed_dim": (32, 64, 128)},
    claims=(
        Claim(
            "a ViT four times as wide is more accurate",
            metric="accuracy",
            better=128,
            than=32,
            source="Dosovitskiy et al. 2021, figure 8",
        ),
        Claim(
            "MACs grow nearly with the square of the width",
            metric="macs",
            along="embed_dim",
            exponent=(1.8, 2.0),
            source="by arithmetic: the linear layers' part does, attention's scores grow in proportion",
        ),
    ),
)
