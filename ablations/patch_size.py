"""How small should a ViT's patches be?

    python -m vitbench.ablate patch_size        # about 5 minutes on two CPU cores

Expected: halving the side of a patch makes four times the tokens. MACs grow with exponent 1 to 2 in tokens, so −2 to −4
in the side. Smaller patches help at scale (ViT paper, figure 8); on 8 px digits a pilot found 4 px ahead of 2 px.
"""

from vitbench import Ablation, Claim, zoo

ABLATION = Ablation(
    question="How small should a ViT's patches be?",
    baseline=zoo("vit_digits"),
    axes={"patch_size": (1, 2, 4, 8)},
    claims=(
        Claim("smaller patches are more accurate", better=2, than=4, source="Dosovitskiy et al. 2021, figure 8"),
        Claim(
            "MACs grow with exponent 1 to 2 in tokens",
            metric="macs",
            along="patch_size",
            exponent=(-4.0, -2.0),
            source="Dosovitskiy et al. 2021, section 3.1",
        ),
    ),
)
