"""Does a ViT learn more from a teacher, and how?

    python -m vitbench.ablate distillation        # about 4 minutes on two CPU cores

Expected: a hard label beats a soft one, most through a token of its own (DeiT, table 3, DeiT-B: none 81.8, soft 81.8,
hard 83.0, token 83.4), and a ConvNet teaches better than a ViT (table 2: 83.1 by a RegNetY-16GF, 81.9 by a DeiT-B).
Each teacher is a row of the table, trained first with its pupil's seed. Soft takes DeiT's weight 0.1 and temperature 3.
On half of the digits, since on all of them hardly a point is left to gain; with DeiT's mixup, since a teacher knows
every training image by heart, and without anything done to images its hard labels are the labels.
"""

from vitbench import Ablation, Claim, DataConfig, ResNetConfig, TrainConfig, ViTConfig

VIT = {"img_size": 8, "patch_size": 2, "in_chans": 1, "num_classes": 10, "init": "moco", "pos_embed_std": 1.0}
DEIT = "Touvron et al. 2021 (DeiT), table 3"


def taught(how: str, teacher: str) -> dict[str, object]:
    common = {"train.teacher": f"variant:{teacher}", "train.distillation": "soft" if how == "soft" else "hard"}
    own = {"soft": {"train.distillation_alpha": 0.1}, "hard": {}, "token": {"distilled": True}}
    return common | own[how]


ABLATION = Ablation(
    question="Does a ViT learn more from a teacher, and how?",
    baseline=ViTConfig(**VIT, embed_dim=64, depth=4, num_heads=4),
    combined={f"{how}_by_{who}": taught(how, who) for who in ("cnn", "vit") for how in ("soft", "hard", "token")},
    references={
        "cnn": ResNetConfig(depth=None, layers=(1, 1, 1), block="basic", width=32),
        "vit": ViTConfig(**VIT, embed_dim=96, depth=4, num_heads=6),
    },
    data_settings=DataConfig(fraction=0.5),
    train=TrainConfig(mixup=0.8),
    claims=(
        Claim("a hard label beats none", metric="accuracy", better="hard_by_cnn", than="baseline", source=DEIT),
        Claim("a token beats soft labels", metric="accuracy", better="token_by_cnn", than="soft_by_cnn", source=DEIT),
        Claim(
            "soft labels change nothing within a point",
            metric="accuracy",
            equal=("baseline", "soft_by_cnn"),
            margin=0.01,
            source=DEIT,
        ),
        Claim(
            "a CNN teaches better than a ViT",
            metric="accuracy",
            better="token_by_cnn",
            than="token_by_vit",
            source="Touvron et al. 2021 (DeiT), table 2",
        ),
    ),
)
