"""Linear patches or a few convolutions: which stem is best?

    python -m vitbench.ablate stem        # about 2 minutes on two CPU cores

Expected: early convolutions help (Xiao et al. 2021, table 2, ImageNet top-1 error after 100 epochs: patches 33.2,
convolutions 28.6). Hybrids win where compute is small (ViT paper, table 6).
"""

from vitbench import Ablation, Claim, zoo

ABLATION = Ablation(
    question="Linear patches or a few convolutions: which stem is best?",
    baseline=zoo("vit_digits", patch_size=4, hybrid_layers=(), hybrid_width=32),
    axes={"stem": ("patchify", "conv", "hybrid")},
    claims=(
        Claim(
            "a convolutional stem beats linear patches",
            better="conv",
            than="patchify",
            source="Xiao et al. 2021, table 2",
        ),
        Claim(
            "a hybrid stem beats linear patches",
            better="hybrid",
            than="patchify",
            source="Dosovitskiy et al. 2021, table 6",
        ),
    ),
)
