"""Can a ViT or a CNN compare two things?

    python -m vitbench.ablate same_different        # about 6 minutes on two CPU cores

On `same_different`, where only comparing two glyphs tells the class (chance 50 %). Expected: attention compares any two
patches in one step and needs no positions for it; a CNN must carry one glyph to the other and lags behind (Vaishnav et
al. 2021; a pilot with one seed: ViT 99.4 to 99.7 %, CNN 84.8 %).
"""

from vitbench import Ablation, Claim, TrainConfig, zoo

VAISHNAV = "Vaishnav et al. 2021, arXiv 2108.03603; Messina et al. 2019"
BUILT = "by construction of `same_different`: the glyphs' places do not matter"

ABLATION = Ablation(
    question="Can a ViT or a CNN compare two things?",
    baseline=zoo("vit_digits", img_size=16, patch_size=4, depth=2, num_classes=2),
    axes={"pos_embed": ("learned", "none")},
    references={"resnet_w16": zoo("resnet_digits")},
    data="same_different",
    train=TrainConfig(epochs=40),
    claims=(
        Claim("attention compares better than convolutions", better="learned", than="resnet_w16", source=VAISHNAV),
        Claim("so does attention without positions", better="none", than="resnet_w16", source=BUILT),
    ),
)
