"""Does a higher resolution help, before fine-tuning and after?

    python -m vitbench.ablate resolution        # about 3 minutes on two CPU cores

Expected: a ViT that was trained on small images does worse on larger ones, since it meets them with more tokens and
resized position embeddings, and better once it is fine-tuned there for a while (ViT paper, section 3.2; DeiT-B goes
from 81.8 % at 224 px to 83.1 % at 384 px). Low is half the side of the data set's images: digits at 4 px, patches of
one size. Who is fine-tuned at the higher resolution is compared with who is fine-tuned as long at the lower; both take
as many epochs as the training before: in a pilot of one seed, half as many at half the rate were too few.
"""

from vitbench import Ablation, Claim, ViTConfig

TUNED = {"train.init_from": "variant:low"}
VIT = "Dosovitskiy et al. 2021, section 3.2"
DEIT = "Touvron et al. 2021 (DeiT), table 3: DeiT-B 81.8 % at 224 px, 83.1 % at 384 px"

ABLATION = Ablation(
    question="Does a higher resolution help, before fine-tuning and after?",
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
    combined={
        "low": {"data.scale": 0.5},
        "low_tested_high": {"train.init_from": "variant:low", "train.epochs": 0},
        "low_tuned_low": {**TUNED, "data.scale": 0.5},
        "low_tuned_high": TUNED,
    },
    claims=(
        Claim(
            "a higher resolution does not help before fine-tuning",
            metric="accuracy",
            better="low",
            than="low_tested_high",
            source=VIT,
        ),
        Claim(
            "a higher resolution helps after fine-tuning",
            metric="accuracy",
            better="low_tuned_high",
            than="low_tuned_low",
            source=DEIT,
        ),
        Claim(
            "a higher resolution costs more",
            metric="latency_ms",
            better="low",
            than="baseline",
            source="four times the tokens",
        ),
    ),
)
