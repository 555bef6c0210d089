"""Which regularisation helps a small ViT on small data?

    python -m vitbench.ablate regularization        # about 4 minutes on two CPU cores

Expected: stochastic depth and dropout regularise; DeiT found dropout of no use beside its other means (table 8: 81.3
with, 81.8 without).
"""

from vitbench import Ablation, Claim, ViTConfig

ABLATION = Ablation(
    question="Which regularisation helps a small ViT on small data?",
    baseline=ViTConfig(
        img_size=8,
        patch_size=2,
        in_chans=1,
        num_classes=10,
        embed_dim=64,
        depth=4,
        num_heads=4,
        init="moco",
        pos_embed_std=1.0,
    ),
    axes={
        "drop_rate": (0.0, 0.1),
        "attn_drop_rate": (0.0, 0.1),
        "drop_path_rate": (0.0, 0.1),
        "train.label_smoothing": (0.1, 0.0),
        "train.weight_decay": (0.05, 0.0),
    },
    claims=(
        Claim(
            "stochastic depth helps",
            metric="accuracy",
            better="drop_path_rate=0.1",
            than="drop_path_rate=0",
            source="Huang et al. 2016; Touvron et al. 2021 (DeiT) use it",
        ),
        Claim(
            "dropout helps",
            metric="accuracy",
            better="drop_rate=0.1",
            than="drop_rate=0",
            source="Srivastava et al. 2014; against it Touvron et al. 2021 (DeiT), table 8",
        ),
        Claim(
            "label smoothing helps",
            metric="accuracy",
            better="train.label_smoothing=0.1",
            than="train.label_smoothing=0",
            source="Szegedy et al. 2016",
        ),
    ),
)
