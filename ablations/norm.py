"""Which norm is best, and where?

    python -m vitbench.ablate norm        # about 4 minutes on two CPU cores

Expected: layer norm and RMS norm are close, and RMS norm is cheaper. Batch norm is said to be behind, here with batches
of 32 (`batch_norm` asks about smaller ones). Post-norm trains worse than pre-norm without a longer warm-up.
"""

from vitbench import Ablation, Claim, zoo

BELIEF = "a common belief; batches of 32 here"
ZHANG, XIONG = (f"{paper}; translation, not vision" for paper in ("Zhang and Sennrich 2019", "Xiong et al. 2020"))

ABLATION = Ablation(
    question="Which norm is best, and where?",
    baseline=zoo("vit_digits"),
    axes={"norm": ("layernorm", "rmsnorm", "batchnorm"), "norm_position": ("pre", "post")},
    claims=(
        Claim("layer norm is more accurate than batch norm", better="layernorm", than="batchnorm", source=BELIEF),
        Claim("RMS norm is as accurate as layer norm", equal=("layernorm", "rmsnorm"), source=ZHANG),
        Claim("pre-norm is more accurate than post-norm", better="pre", than="post", source=XIONG),
    ),
)
