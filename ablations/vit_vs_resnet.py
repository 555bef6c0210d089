"""Should I use a ViT or a ResNet?

    python -m vitbench.ablate vit_vs_resnet        # about 12 minutes on two CPU cores

Expected: with so few images the ResNets are ahead (ViT paper, figures 3 and 4: ViTs overtake with more data), and a
CNN of equal accuracy costs less. Several sizes of each, so that the trade-off is a curve and not two points; among them
pairs that ``vitbench.match`` found, of equal parameters and of equal MACs within 2 %. Every model is trained under one
recipe, and again under the best of five tries that its family got over learning rate and weight decay.
"""

from vitbench import Ablation, Claim, ResNetConfig, Tuning, ViTConfig

VIT = {"img_size": 8, "patch_size": 2, "in_chans": 1, "num_classes": 10, "init": "moco", "pos_embed_std": 1.0}


def resnet(width: int) -> ResNetConfig:
    return ResNetConfig(depth=None, layers=(1, 1, 1), block="basic", width=width)


ABLATION = Ablation(
    question="Should I use a ViT or a ResNet?",
    baseline=ViTConfig(**VIT, embed_dim=64, depth=4, num_heads=4),
    references={
        "vit_p2_d60_l1": ViTConfig(**VIT, embed_dim=60, depth=1, num_heads=4),  # MACs of resnet_w16
        "vit_p2_d32_l6": ViTConfig(**VIT, embed_dim=32, depth=6, num_heads=4),  # parameters of resnet_w16
        "vit_p2_d60_l4": ViTConfig(**VIT, embed_dim=60, depth=4, num_heads=4),  # MACs of resnet_w32
        "vit_p2_d80_l4": ViTConfig(**VIT, embed_dim=80, depth=4, num_heads=4),  # parameters of resnet_w32
        "resnet_w8": resnet(8),
        "resnet_w16": resnet(16),
        "resnet_w26": resnet(26),  # parameters of vit_p2_d64_l4
        "resnet_w32": resnet(32),
    },
    tuning=Tuning(tries=5, lr=(5e-4, 1e-2), weight_decay=(5e-3, 0.5)),
    claims=(
        Claim(
            "with little data a CNN is more accurate than a ViT",
            metric="accuracy",
            better="resnet_w26",
            than="vit_p2_d64_l4",
            source="Dosovitskiy et al. 2021, figures 3 and 4",
        ),
        Claim(
            "a CNN of equal accuracy costs fewer MACs",
            metric="macs",
            better="resnet_w16",
            than="vit_p2_d64_l4",
            source="a common belief; see also Dehghani et al. 2021 (The Efficiency Misnomer): MACs are not speed",
        ),
        Claim(
            "a CNN of equal accuracy is faster",
            metric="latency_ms",
            better="resnet_w16",
            than="vit_p2_d64_l4",
            source="a common belief; see also Dehghani et al. 2021 (The Efficiency Misnomer): MACs are not speed",
        ),
    ),
)
