"""How wide should a ViT be?

    python -m vitbench.ablate width        # about 3 minutes on two CPU cores

Expected: of all ways to grow a ViT, width helps least (ViT paper, figure 8), and its cost grows with the square. The
number of heads stays four.
"""

from vitbench import Ablation, Claim, zoo

ARITHMETIC = "arithmetic: the linear layers grow with the square, the attention scores in proportion"

ABLATION = Ablation(
    question="How wide should a ViT be?",
    baseline=zoo("vit_digits"),
    axes={"embed_dim": (32, 64, 128)},
    claims=(
        Claim(
            "a ViT four times as wide is more accurate", better=128, than=32, source="Dosovitskiy et al. 2021, figure 8"
        ),
        Claim(
            "MACs grow nearly with the square of the width",
            metric="macs",
            along="embed_dim",
            exponent=(1.8, 2.0),
            source=ARITHMETIC,
        ),
    ),
)
