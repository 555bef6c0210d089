"""Does batch norm suffer from small batches, where layer norm does not?

    python -m vitbench.ablate batch_norm        # about 5 minutes on two CPU cores

Expected: batch norm's error grows as batches shrink, since its statistics get noisy; that of a norm which looks at one
image does not (Wu and He 2018, ImageNet, ResNet-50: with batches of 2 group norm ends 10.6 points ahead, with usual
ones they are alike). In a ViT every token counts: with patches of 4 pixels two digits give ten values of each channel,
32 give 160. The learning rate goes with the square root of the batch (Malladi et al. 2022, for Adam), the same for both
norms; in a pilot (validation, one seed, batches of 4) the mean of the two was higher so than in proportion to the
batch, or with one rate for all. On half of the digits.
"""

from vitbench import Ablation, Claim, DataConfig, ViTConfig

VIT = {"img_size": 8, "patch_size": 4, "in_chans": 1, "num_classes": 10, "init": "moco", "pos_embed_std": 1.0}
GROUP_NORM = "Wu and He 2018 (Group Normalization), arXiv 1803.08494, abstract; there group norm in a ResNet"
YAO = "Yao et al. 2021 (Leveraging Batch Normalization for Vision Transformers), abstract; there with a third norm"


def of(batch_size: int, norm: str) -> dict[str, object]:
    """Beside the default of 2e-3 for batches of 32."""
    return {"norm": norm, "train.batch_size": batch_size, "train.lr": float(f"{2e-3 * (batch_size / 32) ** 0.5:.2g}")}


def better(text: str, one: str, other: str) -> Claim:
    return Claim(text, metric="accuracy", better=one, than=other, source=GROUP_NORM)


ABLATION = Ablation(
    question="Does batch norm suffer from small batches, where layer norm does not?",
    baseline=ViTConfig(**VIT, embed_dim=64, depth=4, num_heads=4),
    axes={"norm": ("layernorm", "batchnorm")},
    combined={f"{norm}_of_{size}": of(size, norm) for size in (4, 2) for norm in ("layernorm", "batchnorm")},
    data_settings=DataConfig(fraction=0.5),
    claims=(
        better("with batches of 2 layer norm is more accurate than batch norm", "layernorm_of_2", "batchnorm_of_2"),
        better("with batches of 4 layer norm is more accurate than batch norm", "layernorm_of_4", "batchnorm_of_4"),
        better("batch norm is worse with batches of 2 than with usual ones", "norm=batchnorm", "batchnorm_of_2"),
        Claim(
            "with the recipe's usual batches (32) the two are equal within a point",
            metric="accuracy",
            equal=("norm=layernorm", "norm=batchnorm"),
            margin=0.01,
            source=YAO,
        ),
        Claim(
            "layer norm is as accurate with batches of 2 as with usual ones, within a point",
            metric="accuracy",
            equal=("layernorm_of_2", "norm=layernorm"),
            margin=0.01,
            source=GROUP_NORM,
        ),
    ),
)
