"""Do residual connections prevent degradation with depth?

    python -m vitbench.ablate residual        # about 4 minutes on two CPU cores

Expected: without residuals a deeper network is worse than a shallow one (He et al. 2015, table 2, ImageNet top-1
error: plain-18 27.94, plain-34 28.54; ResNet-18 27.88, ResNet-34 25.03). Four blocks still train without them on these
digits; twelve do not. A patch of 4 pixels leaves four tokens, so that twelve blocks cost little.
"""

from vitbench import Ablation, Claim, ViTConfig

ABLATION = Ablation(
    question="Do residual connections prevent degradation with depth?",
    baseline=ViTConfig(
        img_size=8,
        patch_size=4,
        in_chans=1,
        num_classes=10,
        embed_dim=64,
        depth=12,
        num_heads=4,
        init="moco",
        pos_embed_std=1.0,
    ),
    axes={"residual": (True, False), "depth": (2, 6, 12)},
    design="grid",
    claims=(
        Claim(
            "without residuals, twelve blocks are worse than two",
            metric="accuracy",
            better="residual=False,depth=2",
            than="residual=False,depth=12",
            source="He et al. 2015, table 2",
        ),
        Claim(
            "with residuals, twelve blocks are no worse than two, within a point",
            metric="accuracy",
            equal=("residual=True,depth=12", "residual=True,depth=2"),
            margin=0.01,
            source="He et al. 2015, table 2",
        ),
        Claim(
            "of twelve blocks, those with residuals are better",
            metric="accuracy",
            better="residual=True,depth=12",
            than="residual=False,depth=12",
            source="He et al. 2015, figure 1",
        ),
    ),
)
