"""How deep should a ViT be?

    python -m vitbench.ablate depth        # about 4 minutes on two CPU cores

Expected: depth helps most of all ways to grow, with diminishing returns after 16 blocks (ViT paper, figure 8); its
cost grows in proportion.
"""

from vitbench import Ablation, Claim, ViTConfig

ABLATION = Ablation(
    question="How deep should a ViT be?",
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
    axes={"depth": (1, 2, 4, 8)},
    claims=(
        Claim(
            "four blocks beat one",
            metric="accuracy",
            better=4,
            than=1,
            source="Dosovitskiy et al. 2021, figure 8",
        ),
        Claim(
            "eight blocks beat four",
            metric="accuracy",
            better=8,
            than=4,
            source="Dosovitskiy et al. 2021, figure 8",
        ),
        Claim(
            "MACs grow in proportion to depth",
            metric="macs",
            along="depth",
            exponent=(0.9, 1.0),
            source="by arithmetic: all but the patch embedding and the head stands in the blocks",
        ),
    ),
)
