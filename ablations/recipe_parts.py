"""Which parts of a training recipe does a small ViT need, and do their gains add up?

    python -m vitbench.ablate recipe_parts        # about 7 minutes on two CPU cores

Each part is left out of the full recipe alone, and in the last row all of them are.

Expected: no single part is missed much, since what one of them does not do another one does, and all together are (DeiT
leaves its parts out one by one, table 8, at ImageNet's size). A recipe without a part has no row for it: ``--recipe
small`` does not mix.
"""

from vitbench import Ablation, Claim, TrainConfig, ViTConfig

ABLATION = Ablation(
    question="Which parts of a training recipe does a small ViT need, and do their gains add up?",
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
        drop_path_rate=0.1,
    ),
    train=TrainConfig(warmup_fraction=0.1, label_smoothing=0.1, mixup=0.2, shift_px=1, ema=0.98),
    design="leave_one_out",
    axes={
        "drop_path_rate": (0.0,),
        "train.warmup_fraction": (0.0,),
        "train.label_smoothing": (0.0,),
        "train.mixup": (0.0,),
        "train.shift_px": (0,),
        "train.ema": (0.0,),
    },
    claims=(
        Claim(
            "stochastic depth is worth having beside the rest of the recipe",
            metric="accuracy",
            better="baseline",
            than="drop_path_rate=0",
            source="Touvron et al. 2021 (DeiT), arXiv 2012.12877, table 8; there at ImageNet's size",
        ),
    ),
)
