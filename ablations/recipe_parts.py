"""Which parts of a training recipe does a small ViT need, and do their gains add up?

    python -m vitbench.ablate recipe_parts        # about 7 minutes on two CPU cores

Each row leaves one part out of the full recipe; the last row leaves out all of them. Expected: no single part is missed
much because the others make up for it; all together are (DeiT, table 8, on ImageNet).
"""

from vitbench import Ablation, Claim, TrainConfig, zoo

DEIT = "Touvron et al. 2021 (DeiT), table 8; there on ImageNet"
PARTS = ("drop_path_rate", *(f"train.{part}" for part in ("warmup_fraction", "label_smoothing", "mixup", "ema")))

ABLATION = Ablation(
    question="Which parts of a training recipe does a small ViT need, and do their gains add up?",
    baseline=zoo("vit_digits", drop_path_rate=0.1),
    train=TrainConfig(warmup_fraction=0.1, label_smoothing=0.1, mixup=0.2, shift_px=1, ema=0.98),
    design="leave_one_out",
    axes=dict.fromkeys(PARTS, (0.0,)) | {"train.shift_px": (0,)},
    claims=(Claim("stochastic depth pays in a full recipe", better="baseline", than="drop_path_rate=0", source=DEIT),),
)
