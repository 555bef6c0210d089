"""How many heads does a ViT need at constant width?

    python -m vitbench.ablate heads        # about 4 minutes on two CPU cores

Expected: several heads beat one, and too many hurt (Vaswani et al. 2017, table 3 A, translation: one head −0.9 BLEU).
MACs stay the same, since the heads share the width.
"""

from vitbench import Ablation, Claim, zoo

SOURCE = "Vaswani et al. 2017, table 3 (A); translation, not vision"

ABLATION = Ablation(
    question="How many heads does a ViT need at constant width?",
    baseline=zoo("vit_digits"),
    axes={"num_heads": (1, 2, 4, 8, 16)},
    claims=(
        Claim("several heads beat one", better=4, than=1, source=SOURCE),
        Claim("too many heads hurt", better=4, than=16, source=SOURCE),
        Claim(
            "the number of heads costs no MACs",
            metric="macs",
            along="num_heads",
            exponent=(0.0, 0.0),
            source="arithmetic: heads share the width",
        ),
    ),
)
