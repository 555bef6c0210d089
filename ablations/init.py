"""How much does a ViT depend on its initialisation?

    python -m vitbench.ablate init        # about 3 minutes on two CPU cores

Expected: at width 64, normal initialisations with standard deviation 0.02 and 0.01 (timm, classic) learn slowly. Xavier
(jax, moco) leads by a point or two after so few epochs.
"""

from vitbench import Ablation, Claim, zoo

ABLATION = Ablation(
    question="How much does a ViT depend on its initialisation?",
    baseline=zoo("vit_digits"),
    axes={"init": ("moco", "jax", "timm", "classic")},
    claims=(
        Claim(
            "Xavier beats standard deviation 0.02 at small width",
            better="moco",
            than="timm",
            source="pilot of this project, CHANGELOG 0.1.0",
        ),
        Claim(
            "both Xavier initialisations are equal within a point",
            equal=("moco", "jax"),
            margin=0.01,
            source="none; they differ in the head and in the patch embedding",
        ),
    ),
)
