"""Which regularisation helps a small ViT on little data?

    python -m vitbench.ablate regularization        # about 4 minutes on two CPU cores

Expected: stochastic depth helps. DeiT found no use for dropout beside the rest (table 8: 81.3 with, 81.8 without).
"""

from vitbench import Ablation, Claim, zoo

CLAIMS = {
    "drop_path_rate": ("stochastic depth helps", "Huang et al. 2016; Touvron et al. 2021 (DeiT) use it"),
    "drop_rate": ("dropout helps", "Srivastava et al. 2014; against it Touvron et al. 2021 (DeiT), table 8"),
    "train.label_smoothing": ("label smoothing helps", "Szegedy et al. 2016"),
}

ABLATION = Ablation(
    question="Which regularisation helps a small ViT on little data?",
    baseline=zoo("vit_digits"),
    axes={
        "drop_rate": (0.0, 0.1),
        "attn_drop_rate": (0.0, 0.1),
        "drop_path_rate": (0.0, 0.1),
        "train.label_smoothing": (0.1, 0.0),
        "train.weight_decay": (0.05, 0.0),
    },
    claims=tuple(
        Claim(text, better=f"{axis}=0.1", than=f"{axis}=0", source=source) for axis, (text, source) in CLAIMS.items()
    ),
)
