"""Which norm, and where?

    python -m vitbench.ablate norm        # about 4 minutes on two CPU cores

Expected: layer and RMS norm lie close together, RMS norm is cheaper; batch norm is said to be behind, here with batches
of 32 (smaller ones are what `batch_norm` asks about); post-norm trains worse than pre-norm without a longer warm-up.
"""

from vitbench import Ablation, Claim, ViTConfig

ABLATION = Ablation(
    question="Which norm, and where?",
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
    axes={"norm": ("layernorm", "rmsnorm", "batchnorm"), "norm_position": ("pre", "post")},
    claims=(
        Claim(
            "layer norm is more accurate than batch norm",
            metric="accuracy",
            better="layernorm",
            than="batchnorm",
            source="a common belief; batches of 32 here",
        ),
        Claim(
            "RMS norm is as accurate as layer norm within a point",
            metric="accuracy",
            equal=("layernorm", "rmsnorm"),
            margin=0.01,
            source="Zhang and Sennrich 2019; translation, not vision",
        ),
        Claim(
            "pre-norm is more accurate than post-norm",
            metric="accuracy",
            better="pre",
            than="post",
            source="Xiong et al. 2020; translation, not vision",
        ),
    ),
)
