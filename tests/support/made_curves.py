"""Two families whose error falls with the training images by known laws."""

import numpy as np

from tests.support.made_records import Made

SIZES = (50, 100, 200, 400, 800)


def curves(folder, *, sizes=SIZES, seeds=6, ahead=True):
    """A ViT whose error falls as 6·n^-.8 and a ResNet's as 2.4·n^-.6 (they cross at 98), or never does."""
    variants, laws = [], {}
    for name, family, law in (
        ("vit", "ViT", (6.0 if ahead else 60.0, 0.8)),
        ("resnet", "ResNet", (2.4, 0.6)),
    ):
        for size in reversed(sizes):
            whole = size == max(sizes)
            row = name if whole else f"{name},data.per_class={size // 10}"
            axes = {"data.per_class": size // 10}
            variants.append({"name": row, "family": family, "axes": axes, "curve": name, "images": size,
                             "is_reference": family == "ResNet"})  # fmt: skip
            laws[row] = law[0] * size ** -law[1]
    made = Made(folder, variants, axes={"data.per_class": [size // 10 for size in sizes]})
    rng = np.random.default_rng(0)
    for v in variants:
        errors = np.clip(laws[v["name"]] * (1 + 0.03 * rng.normal(size=seeds)), 0, 1)
        made.accuracy(v["name"], (1 - errors).tolist(), curves=False)
    return made
