"""Do residual connections prevent degradation with depth?

    python -m vitbench.ablate residual        # about 3 minutes on two CPU cores

Expected: without residuals a deeper network is worse than a shallow one (He et al. 2015, table 2, ImageNet top-1
error: plain-18 27.94, plain-34 28.54; ResNet-18 27.88, ResNet-34 25.03).
"""

from vitbench import Ablation, Claim, ViTConfig

ABLATION = Ablation(
    question="Do residual connections prevent degradation with depth?",
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
    axes={"residual": (True, False), "depth": (1, 4)},
    design="grid",
    claims=(
        Claim(
            "without residuals, four blocks are worse than one",
            metric="accuracy",
            better="residual=False,depth=1",
            than="residual=False,depth=4",
            source="He et al. 2015, table 2",
        ),
        Claim(
            "with residuals, four blocks are better than one",
            metric="accuracy",
            better="baseline",
            than="residual=True,depth=1",
            source="He et al. 2015, table 2",
        ),
    ),
)
