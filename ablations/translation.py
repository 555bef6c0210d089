"""Is a digit that was learned at one place recognised at another?

    python -m vitbench.ablate translation        # about 4 minutes on two CPU cores

The test split of `translation` has three groups, which the report shows apart: in place, shifted by whole patches, and
shifted by other distances. Expected: a ViT without positions and a CNN with circular padding answer exactly alike after
a shift by whole patches; learned positions lose little if they start small and nearly all if they start large.
"""

from vitbench import Ablation, Claim, zoo

KAYHAN = "Kayhan and van Gemert 2020, arXiv 2003.07064: zeros at the border tell a CNN where it is"
OWN = "this project, CHANGELOG 0.1.0"

ABLATION = Ablation(
    question="Is a digit that was learned at one place recognised at another?",
    baseline=zoo("vit_digits", img_size=16, patch_size=4, depth=2),
    axes={"pos_embed": ("learned", "none", "sincos2d")},
    combined={"learned_std_0.02": {"pos_embed": "learned", "pos_embed_std": 0.02}},
    references={f"resnet_{padding}": zoo("resnet_digits", padding=padding) for padding in ("zeros", "circular")},
    data="translation",
    claims=(
        Claim("learned positions transfer if small", better="learned_std_0.02", than="pos_embed=learned", source=OWN),
        Claim("circular padding loses less to shifts", better="resnet_circular", than="resnet_zeros", source=KAYHAN),
    ),
)
