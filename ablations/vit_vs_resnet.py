"""Should I use a ViT or a ResNet?

    python -m vitbench.ablate vit_vs_resnet        # about 12 minutes on two CPU cores

Expected: with so few images the ResNets lead (ViT paper, figures 3 and 4: ViTs overtake with more data), and a CNN of
equal accuracy costs less. Several sizes make the trade-off a curve; ``vitbench.match`` found the pairs of equal cost.
Every model is trained under one recipe, and again under its family's best of five tries.
"""

from vitbench import Ablation, Claim, Tuning, zoo

COSTS = "a common belief; see also Dehghani et al. 2021 (The Efficiency Misnomer): MACs are not speed"
DATA = "Dosovitskiy et al. 2021, figures 3 and 4"
SIZES = ((60, 1), (32, 6), (60, 4), (80, 4))  # equal: MACs and parameters of resnet_w16, then of resnet_w32
VITS = {f"vit_p2_d{width}_l{depth}": zoo("vit_digits", embed_dim=width, depth=depth) for width, depth in SIZES}
RESNETS = {f"resnet_w{width}": zoo("resnet_digits", width=width) for width in (8, 16, 26, 32)}
VIT = "vit_p2_d64_l4"  # the baseline, with the parameters of resnet_w26

ABLATION = Ablation(
    question="Should I use a ViT or a ResNet?",
    baseline=zoo("vit_digits"),
    references=VITS | RESNETS,
    tuning=Tuning(tries=5, lr=(5e-4, 1e-2), weight_decay=(5e-3, 0.5)),
    claims=(
        Claim("with little data a CNN is more accurate than a ViT", better="resnet_w26", than=VIT, source=DATA),
        Claim("a CNN of equal accuracy costs fewer MACs", metric="macs", better="resnet_w16", than=VIT, source=COSTS),
        Claim("a CNN of equal accuracy is faster", metric="latency_ms", better="resnet_w16", than=VIT, source=COSTS),
    ),
)
