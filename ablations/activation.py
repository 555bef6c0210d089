"""Which activation, and does a gated MLP pay?

    python -m vitbench.ablate activation        # about 5 minutes on two CPU cores

Expected: exact and tanh GELU are the same within noise (they differ by at most 4.7e-4 at a point); a SwiGLU of the
same hidden width has half as many weights again, and should be held against that cost.
"""

from vitbench import Ablation, Claim, ViTConfig

ABLATION = Ablation(
    question="Which activation, and does a gated MLP pay?",
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
    axes={"act": ("gelu", "gelu_tanh", "relu", "silu"), "mlp": ("mlp", "swiglu")},
    claims=(
        Claim(
            "exact and tanh GELU are equal within a point",
            metric="accuracy",
            equal=("gelu", "gelu_tanh"),
            margin=0.01,
            source="Hendrycks and Gimpel 2016",
        ),
        Claim(
            "SwiGLU is more accurate",
            metric="accuracy",
            better="swiglu",
            than="mlp",
            source="Shazeer 2020; language, not vision",
        ),
        Claim(
            "SwiGLU costs no more MACs",
            metric="macs",
            better="swiglu",
            than="mlp",
            source="Shazeer 2020 narrows its hidden width to two thirds; here it is the same",
        ),
    ),
)
