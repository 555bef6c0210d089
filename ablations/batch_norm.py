"""Does batch norm suffer from small batches where layer norm does not?

    python -m vitbench.ablate batch_norm        # about 5 minutes on two CPU cores

Expected: batch norm loses accuracy with small batches (Wu and He 2018, ImageNet: group norm leads by 10.6 points with
batches of 2). The learning rate scales with the root of the batch size (Malladi et al. 2022). On half of the digits.
"""

from vitbench import Ablation, Claim, DataConfig, zoo

WU = "Wu and He 2018 (Group Normalization), abstract; there group norm in a ResNet"
YAO = "Yao et al. 2021 (Leveraging Batch Normalization for Vision Transformers), abstract"
BATCHES = {size: {"train.batch_size": size, "train.lr": lr} for size, lr in ((4, 0.00071), (2, 0.0005))}
NORMS = ("layernorm", "batchnorm")

ABLATION = Ablation(
    question="Does batch norm suffer from small batches where layer norm does not?",
    baseline=zoo("vit_digits", patch_size=4),
    axes={"norm": NORMS},
    combined={f"{norm}_of_{size}": {"norm": norm, **BATCHES[size]} for size in BATCHES for norm in NORMS},
    data_settings=DataConfig(fraction=0.5),
    claims=(
        Claim("layer norm beats batch norm at batches of 2", better="layernorm_of_2", than="batchnorm_of_2", source=WU),
        Claim("layer norm beats batch norm at batches of 4", better="layernorm_of_4", than="batchnorm_of_4", source=WU),
        Claim("batch norm prefers batches of 32 to 2", better="norm=batchnorm", than="batchnorm_of_2", source=WU),
        Claim("both norms are equal at batches of 32", equal=("norm=layernorm", "norm=batchnorm"), source=YAO),
        Claim("layer norm is equal at batches of 2 and 32", equal=("layernorm_of_2", "norm=layernorm"), source=WU),
    ),
)
