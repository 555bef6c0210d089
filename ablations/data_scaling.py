"""How many training images does a ViT need to match a ResNet?

    python -m vitbench.ablate data_scaling        # about 6 minutes on two CPU cores

Expected: the fewer images, the further the ViT is behind; with enough images it overtakes (ViT paper, section 4.3:
ViT-B/32 loses to a ResNet-50 on 9 M images of JFT and wins from 90 M on). A thousand digits are not enough for that.
Every row takes the same number of steps; each seed draws its own subsets, the smaller inside the larger.
"""

from vitbench import Ablation, Claim, DataConfig, zoo

SOURCE = "Dosovitskiy et al. 2021, section 4.3 and figure 4"
ALL, TENTH = "data.fraction=1", "data.fraction=0.1"

ABLATION = Ablation(
    question="How many training images does a ViT need to match a ResNet?",
    baseline=zoo("vit_digits"),
    axes={"data.fraction": (1.0, 0.5, 0.25, 0.1, 0.05)},
    references={
        "vit_p2_d32_l2": zoo("vit_digits", embed_dim=32, depth=2, num_heads=2),
        "resnet_w8": zoo("resnet_digits", width=8),
        "resnet_w16": zoo("resnet_digits"),
    },
    data_settings=DataConfig(same_steps=True),
    claims=(
        Claim("a CNN wins with a tenth of the data", better=f"resnet_w16,{TENTH}", than=TENTH, source=SOURCE),
        Claim("a ViT wins with all of the data", better=ALL, than=f"resnet_w16,{ALL}", source=SOURCE),
    ),
)
