"""Do residual connections prevent degradation with depth?

    python -m vitbench.ablate residual        # about 4 minutes on two CPU cores

Expected: without residual connections a deeper network is worse than a shallow one (He et al. 2015, table 2, ImageNet
top-1 error: plain-18 27.94, plain-34 28.54; ResNet-18 27.88, ResNet-34 25.03). Patches of 4 px keep depth cheap.
"""

from vitbench import Ablation, Claim, zoo

HE = "He et al. 2015, table 2"
PLAIN, RESIDUAL = "residual=False,depth=", "residual=True,depth="

ABLATION = Ablation(
    question="Do residual connections prevent degradation with depth?",
    baseline=zoo("vit_digits", patch_size=4, depth=12),
    axes={"residual": (True, False), "depth": (2, 6, 12)},
    design="grid",
    claims=(
        Claim("without residuals, two blocks beat twelve", better=f"{PLAIN}2", than=f"{PLAIN}12", source=HE),
        Claim("with residuals, twelve blocks equal two", equal=(f"{RESIDUAL}12", f"{RESIDUAL}2"), source=HE),
        Claim("of twelve blocks, those with residuals win", better=f"{RESIDUAL}12", than=f"{PLAIN}12", source=HE),
    ),
)
