"""Can it compare two things?

    python -m vitbench.ablate same_different        # about 6 minutes on two CPU cores

On `same_different`, where only a comparison of two glyphs tells the class (chance 50 %, parts apart 75 % at most).

Expected: attention compares any two patches in one step, and needs no positions for it; a CNN must carry one glyph to
the other and lags behind (Vaishnav et al. 2021: attention makes such tasks easier for CNNs; a pilot, one seed: ViT 99.4
to 99.7 %, CNN 84.8 %).
"""

from vitbench import Ablation, Claim, ResNetConfig, TrainConfig, ViTConfig

CNN = ResNetConfig(depth=None, layers=(1, 1, 1), block="basic", width=16)

ABLATION = Ablation(
    question="Can it compare two things?",
    baseline=ViTConfig(
        img_size=16,
        patch_size=4,
        in_chans=1,
        num_classes=2,
        embed_dim=64,
        depth=2,
        num_heads=4,
        init="moco",
        pos_embed_std=1.0,
    ),
    axes={"pos_embed": ("learned", "none")},
    references={"resnet_w16": CNN},
    data="same_different",
    train=TrainConfig(epochs=40),
    claims=(
        Claim(
            "attention compares better than convolutions",
            metric="accuracy",
            better="learned",
            than="resnet_w16",
            source="Vaishnav et al. 2021, arXiv 2108.03603; Messina et al. 2019",
        ),
        Claim(
            "without positions too",
            metric="accuracy",
            better="none",
            than="resnet_w16",
            source="by construction of `same_different`: where the glyphs are does not matter",
        ),
    ),
)
