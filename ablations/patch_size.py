"""How small should a ViT's patches be?

    python -m vitbench.ablate patch_size        # about 5 minutes on two CPU cores

Expected: patches of half the side make four times the tokens, and MACs that grow with exponent 1 to 2 in tokens, so
−2 to −4 in the patch's side; smaller patches robustly help at scale (ViT paper, figure 8). On digits of 8 × 8 pixels
they need not: a pilot found 4 px ahead of 2 px.
"""

from vitbench import Ablation, Claim, ViTConfig

ABLATION = Ablation(
    question="How small should a ViT's patches be?",
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
    axes={"patch_size": (1, 2, 4, 8)},
    claims=(
        Claim(
            "smaller patches are more accurate",
            metric="accuracy",
            better=2,
            than=4,
            source="Dosovitskiy et al. 2021, figure 8",
        ),
        Claim(
            "MACs grow with exponent 1 to 2 in tokens",
            metric="macs",
            along="patch_size",
            exponent=(-4.0, -2.0),
            source="Dosovitskiy et al. 2021, section 3.1",
        ),
    ),
)
