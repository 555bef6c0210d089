"""Does a ViT need position embeddings, and which kind?

    python -m vitbench.ablate pos_embed        # about 4 minutes on two CPU cores

Expected: every embedding beats none; the kinds lie within noise of each other (ViT paper, table 8: none 0.614,
1-D 0.642, 2-D 0.640, relative 0.640). On 8 × 8 digits from scratch the loss without any is far larger than there. The
recipe was tuned on validation, for learned and relative: a ranking of the kinds is biased towards those two.
"""

from vitbench import Ablation, Claim, ViTConfig

ABLATION = Ablation(
    question="Does a ViT need position embeddings, and which kind?",
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
    axes={"pos_embed": ("learned", "none", "sincos2d", "rope", "relative")},
    data="digits",
    claims=(
        Claim(
            "learned position embeddings beat none",
            metric="accuracy",
            better="learned",
            than="none",
            source="Dosovitskiy et al. 2021, table 8",
        ),
    ),
)
