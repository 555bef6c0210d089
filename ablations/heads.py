"""How many heads does a ViT need, at constant width?

    python -m vitbench.ablate heads        # about 4 minutes on two CPU cores

Expected: several heads beat one, and too many hurt (Vaswani et al. 2017, table 3 A, translation: one head −0.9 BLEU).
MACs do not change: the width is shared out among the heads.
"""

from vitbench import Ablation, Claim, ViTConfig

ABLATION = Ablation(
    question="How many heads does a ViT need, at constant width?",
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
    axes={"num_heads": (1, 2, 4, 8, 16)},
    claims=(
        Claim(
            "several heads beat one",
            metric="accuracy",
            better=4,
            than=1,
            source="Vaswani et al. 2017, table 3 (A); translation, not vision",
        ),
        Claim(
            "too many heads hurt",
            metric="accuracy",
            better=4,
            than=16,
            source="Vaswani et al. 2017, table 3 (A); translation, not vision",
        ),
        Claim(
            "the number of heads costs no MACs",
            metric="macs",
            along="num_heads",
            exponent=(0.0, 0.0),
            source="by arithmetic: heads share the width",
        ),
    ),
)
