"""How many images does a ViT need, beside a ResNet?

    python -m vitbench.ablate data_scaling        # about 6 minutes on two CPU cores

Expected: the fewer images, the further a ViT is behind; with enough it overtakes (ViT paper, section 4.3: ViT-B/32
loses to a ResNet-50 on 9 M images of JFT and wins from 90 M on). A thousand digits are not enough for that. Every row
takes as many steps: a smaller part is seen more often, not trained less. Each seed draws its own parts, the smaller
within the larger. One recipe, tuned on the whole.
"""

from vitbench import Ablation, Claim, DataConfig, ResNetConfig, ViTConfig

VIT = {"img_size": 8, "patch_size": 2, "in_chans": 1, "num_classes": 10, "init": "moco", "pos_embed_std": 1.0}
BELIEF = "Dosovitskiy et al. 2021, section 4.3 and figure 4"

ABLATION = Ablation(
    question="How many images does a ViT need, beside a ResNet?",
    baseline=ViTConfig(**VIT, embed_dim=64, depth=4, num_heads=4),
    axes={"data.fraction": (1.0, 0.5, 0.25, 0.1, 0.05)},
    references={
        "vit_p2_d32_l2": ViTConfig(**VIT, embed_dim=32, depth=2, num_heads=2),
        "resnet_w8": ResNetConfig(depth=None, layers=(1, 1, 1), block="basic", width=8),
        "resnet_w16": ResNetConfig(depth=None, layers=(1, 1, 1), block="basic", width=16),
    },
    data_settings=DataConfig(same_steps=True),
    claims=(
        Claim(
            "with a tenth of the data a CNN is more accurate than a ViT",
            metric="accuracy",
            better="resnet_w16,data.fraction=0.1",
            than="data.fraction=0.1",
            source=BELIEF,
        ),
        Claim(
            "with all of the data a ViT is more accurate than a CNN",
            metric="accuracy",
            better="data.fraction=1",
            than="resnet_w16,data.fraction=1",
            source=BELIEF,
        ),
    ),
)
