"""How far a model sees at each depth: a ResNet's receptive field in closed form, a ViT's attention as it was measured.

The receptive field is the side of the square of pixels that one place of a feature map can depend on (Araujo et al.
2019, "Computing Receptive Fields of Convolutional Neural Networks"): each window of k places widens it by k − 1 of its
input's steps, and a stride multiplies the steps. Shortcuts only add narrower paths, padding adds none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.serialize import from_dict
from vitbench.declare.sizes import as_pair
from vitbench.tables.model_families import full_data_variants
from vitbench.tables.study import Study
from vitbench.utils.errors import ConfigError

FIELDS = ("variant", "layer", "depth", "stage", "field_px", "image_px")


def windows(config: ResNetConfig) -> Iterator[tuple[str, int, int]]:
    """Every convolution and pooling on the longest way through the network: stage, kernel size, stride."""
    if config.stem == "cifar":
        yield "stem", 3, 1
    else:
        yield "stem", 7 if config.variant == "plain" else 3, 2
        if config.variant == "d":
            yield from [("stem", 3, 1)] * 2
        yield "stem", 3, 2  # the pooling
    block, layers = config.stages
    for stage, count in enumerate(layers, 1):
        for number in range(count):
            stride = 2 if stage > 1 and number == 0 else 1
            if block == "bottleneck":
                yield from ((f"stage {stage}", 1, 1), (f"stage {stage}", 3, stride), (f"stage {stage}", 1, 1))
            else:
                yield from ((f"stage {stage}", 3, stride), (f"stage {stage}", 3, 1))


def receptive_fields(study: Study) -> pd.DataFrame:
    """Of every ResNet: the side of its receptive field after each layer, columns ``FIELDS``.

    ``depth`` is the share of layers passed, ``image_px`` the image's longer side.
    """
    rows = []
    for v in full_data_variants(study):
        config = _resnet(v.config)
        if config is None:
            continue
        side, step, passed = 1, 1, list(windows(config))
        for layer, (stage, kernel, stride) in enumerate(passed, 1):
            side, step = side + (kernel - 1) * step, step * stride
            rows.append((v.name, layer, layer / len(passed), stage, side, max(as_pair(config.img_size))))
    return pd.DataFrame(rows, columns=list(FIELDS))


def _resnet(values: Mapping[str, Any] | None) -> ResNetConfig | None:
    """The config that a record holds, if it is a ResNet's that this version can read."""
    if not values or values.get("type") != ResNetConfig.__name__:
        return None
    try:
        config = from_dict(values)
    except ConfigError:
        return None
    return config if isinstance(config, ResNetConfig) else None
