"""How much does a ViT's initialisation decide?

    python -m vitbench.ablate init        # about 3 minutes on two CPU cores

Expected: at width 64 the common starts with standard deviation 0.02 and 0.01 (timm, classic) learn slowly; Xavier
starts (jax, moco) are a point or two ahead after so few epochs, more where position embeddings start with 0.02 too.
"""

from vitbench import Ablation, Claim, ViTConfig

ABLATION = Ablation(
    question="How much does a ViT's initialisation decide?",
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
    axes={"init": ("moco", "jax", "timm", "classic")},
    claims=(
        Claim(
            "a Xavier start beats the std-0.02 start at small width",
            metric="accuracy",
            better="moco",
            than="timm",
            source="pilot of this project, CHANGELOG 0.1.0",
        ),
        Claim(
            "the two Xavier starts are equal within a point",
            metric="accuracy",
            equal=("moco", "jax"),
            margin=0.01,
            source="none: they differ in the head and in the patch embedding",
        ),
    ),
)
