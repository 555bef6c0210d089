"""Does a ViT need position embeddings, and which kind?

    python -m vitbench.ablate pos_embed        # about 4 minutes on two CPU cores

Expected: every kind beats none, and the kinds are within noise of each other (ViT paper, table 8: none 0.614, 1-D
0.642, 2-D 0.640, relative 0.640). Trained from scratch on 8 px digits, a ViT without any loses far more than there. The
recipe was tuned on the validation split for `learned` and `relative`, which favours those two.
"""

from vitbench import Ablation, Claim, zoo

SOURCE = "Dosovitskiy et al. 2021, table 8"

ABLATION = Ablation(
    question="Does a ViT need position embeddings, and which kind?",
    baseline=zoo("vit_digits"),
    axes={"pos_embed": ("learned", "none", "sincos2d", "rope", "relative")},
    data="digits",
    claims=(Claim("learned position embeddings beat none", better="learned", than="none", source=SOURCE),),
)
