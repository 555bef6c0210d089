"""How deep should a ViT be?

    python -m vitbench.ablate depth        # about 4 minutes on two CPU cores

Expected: of all ways to grow a ViT, depth helps most, with diminishing returns after 16 blocks (ViT paper, figure 8).
Its cost grows in proportion.
"""

from vitbench import Ablation, Claim, zoo

SOURCE = "Dosovitskiy et al. 2021, figure 8"

ABLATION = Ablation(
    question="How deep should a ViT be?",
    baseline=zoo("vit_digits"),
    axes={"depth": (1, 2, 4, 8)},
    claims=(
        Claim("four blocks beat one", better=4, than=1, source=SOURCE),
        Claim("eight blocks beat four", better=8, than=4, source=SOURCE),
        Claim(
            "MACs grow in proportion to depth",
            metric="macs",
            along="depth",
            exponent=(0.9, 1.0),
            source="arithmetic: all but the patch embedding and the head is in the blocks",
        ),
    ),
)
