"""Does a higher resolution help, before and after fine-tuning?

    python -m vitbench.ablate resolution        # about 3 minutes on two CPU cores

Expected: a ViT trained on small images does worse on larger ones, with their resized position embeddings, and better
after fine-tuning there (ViT paper, section 3.2). `low` is half the side; fine-tuning takes as long as the training.
"""

from vitbench import Ablation, Claim, zoo

LOW, TUNED = {"data.scale": 0.5}, {"train.init_from": "variant:low"}
VIT = "Dosovitskiy et al. 2021, section 3.2"
DEIT = "Touvron et al. 2021 (DeiT), table 3: DeiT-B 81.8 % at 224 px, 83.1 % at 384 px"

ABLATION = Ablation(
    question="Does a higher resolution help, before and after fine-tuning?",
    baseline=zoo("vit_digits"),
    combined={
        "low": LOW,
        "low_tested_high": {**TUNED, "train.epochs": 0},
        "low_tuned_low": {**TUNED, **LOW},
        "low_tuned_high": TUNED,
    },
    claims=(
        Claim("a higher resolution does not help before fine-tuning", better="low", than="low_tested_high", source=VIT),
        Claim("it helps after fine-tuning", better="low_tuned_high", than="low_tuned_low", source=DEIT),
        Claim("it takes longer", metric="latency_ms", better="low", than="baseline", source="four times the tokens"),
    ),
)
