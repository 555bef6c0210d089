"""Does a CNN know where an object is because of its padding?

    python -m vitbench.ablate padding        # about 3 minutes on two CPU cores

On `quadrant`, where only the position tells the class (chance 25 %). Expected: zeros at the border tell a CNN where it
is; circular padding leaves it at chance, as does a ViT without position embeddings (Kayhan and van Gemert 2020).
"""

from vitbench import Ablation, Claim, TrainConfig, zoo

SHAPE = {"img_size": 16, "num_classes": 4}
VIT = {**SHAPE, "patch_size": 4, "depth": 2, "pool": "mean"}
KAYHAN = "Kayhan and van Gemert 2020, arXiv 2003.07064"
BUILT = "by construction of `quadrant`: exactly 25 %"

ABLATION = Ablation(
    question="Does a CNN know where an object is because of its padding?",
    baseline=zoo("resnet_digits", **SHAPE),
    axes={"padding": ("zeros", "circular")},
    references={f"vit_{kind}": zoo("vit_digits", **VIT, pos_embed=kind) for kind in ("none", "learned")},
    data="quadrant",
    train=TrainConfig(epochs=40),
    claims=(
        Claim("zero padding tells a CNN the position", better="zeros", than="circular", source=KAYHAN),
        Claim("a ViT without positions is as lost", equal=("circular", "vit_none"), margin=0.05, source=BUILT),
    ),
)
