"""Patches cut out, or features of a few convolutions?

    python -m vitbench.ablate stem        # about 2 minutes on two CPU cores

Expected: early convolutions help (Xiao et al. 2021, table 2, ImageNet top-1 error after 100 epochs: patches 33.2,
convolutions 28.6); hybrids win where compute is small (ViT paper, table 6).
"""

from vitbench import Ablation, Claim, ViTConfig

ABLATION = Ablation(
    question="Patches cut out, or features of a few convolutions?",
    baseline=ViTConfig(
        img_size=8,
        patch_size=4,
        in_chans=1,
        num_classes=10,
        embed_dim=64,
        depth=4,
        num_heads=4,
        hybrid_layers=(),
        hybrid_width=32,
        init="moco",
        pos_embed_std=1.0,
    ),
    axes={"stem": ("patchify", "conv", "hybrid")},
    claims=(
        Claim(
            "a convolutional stem beats cut-out patches",
            metric="accuracy",
            better="conv",
            than="patchify",
            source="Xiao et al. 2021, table 2",
        ),
        Claim(
            "a hybrid stem beats cut-out patches",
            metric="accuracy",
            better="hybrid",
            than="patchify",
            source="Dosovitskiy et al. 2021, table 6",
        ),
    ),
)
