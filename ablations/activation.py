"""Which activation function is best, and is a gated MLP worth its cost?

    python -m vitbench.ablate activation        # about 5 minutes on two CPU cores

Expected: exact and tanh GELU agree within noise (they differ by at most 4.7e-4). A SwiGLU of the same hidden width has
half as many weights again in its MLP, so its gain must be weighed against that cost.
"""

from vitbench import Ablation, Claim, zoo

SHAZEER = "Shazeer 2020 (language, not vision), who narrows the hidden width to two thirds; here it is the same"

ABLATION = Ablation(
    question="Which activation function is best, and is a gated MLP worth its cost?",
    baseline=zoo("vit_digits"),
    axes={"act": ("gelu", "gelu_tanh", "relu", "silu"), "mlp": ("mlp", "swiglu")},
    claims=(
        Claim("exact and tanh GELU are equal", equal=("gelu", "gelu_tanh"), source="Hendrycks and Gimpel 2016"),
        Claim("SwiGLU is more accurate", better="swiglu", than="mlp", source=SHAZEER),
        Claim("SwiGLU costs no more MACs", metric="macs", better="swiglu", than="mlp", source=SHAZEER),
    ),
)
