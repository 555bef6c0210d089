"""Does a ViT learn more from a teacher, and how?

    python -m vitbench.ablate distillation        # about 4 minutes on two CPU cores

Expected: a hard label beats a soft one, above all with a distillation token (DeiT, table 3: none 81.8, soft 81.8, hard
83.0, token 83.4); a CNN teaches better than a ViT (table 2). On half of the digits, with mixup, since a teacher that
knows every training image by heart would only repeat the labels. Soft labels take DeiT's weight 0.1, temperature 3.
"""

from vitbench import Ablation, Claim, DataConfig, TrainConfig, zoo

DEIT2, DEIT3 = (f"Touvron et al. 2021 (DeiT), table {number}" for number in (2, 3))
SOFT, HARD = {"train.distillation": "soft", "train.distillation_alpha": 0.1}, {"train.distillation": "hard"}
HOW = {"soft": SOFT, "hard": HARD, "token": {**HARD, "distilled": True}}
TEACHERS = {"cnn": zoo("resnet_digits", width=32), "vit": zoo("vit_digits", embed_dim=96, num_heads=6)}

ABLATION = Ablation(
    question="Does a ViT learn more from a teacher, and how?",
    baseline=zoo("vit_digits"),
    combined={f"{how}_by_{who}": {"train.teacher": f"variant:{who}", **HOW[how]} for who in TEACHERS for how in HOW},
    references=TEACHERS,
    data_settings=DataConfig(fraction=0.5),
    train=TrainConfig(mixup=0.8),
    claims=(
        Claim("a hard label beats none", better="hard_by_cnn", than="baseline", source=DEIT3),
        Claim("a token beats soft labels", better="token_by_cnn", than="soft_by_cnn", source=DEIT3),
        Claim("soft labels change nothing", equal=("baseline", "soft_by_cnn"), source=DEIT3),
        Claim("a CNN teaches better than a ViT", better="token_by_cnn", than="token_by_vit", source=DEIT2),
    ),
)
