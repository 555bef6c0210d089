"""The receptive field of a ResNet after each layer, in closed form.

The receptive field is the side of the square of pixels that one position of a feature map can depend on (Araujo et al.
2019, "Computing Receptive Fields of Convolutional Neural Networks"). A kernel of size k widens it by k − 1 steps of its
input, and a stride multiplies the step. Shortcuts add only narrower paths; padding does not change it.
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
    """Yields (stage, kernel size, stride) of every convolution and pooling on the longest path through the network."""
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
    """The receptive field of every ResNet after each layer: columns ``FIELDS``.

    ``field_px``: its side; ``depth``: the share of layers up to this one; ``image_px``: the image's longer side.
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
    """The config of a record if it is a readable ResNet config, else None."""
    if not values or values.get("type") != ResNetConfig.__name__:
        return None
    try:
        config = from_dict(values)
    except ConfigError:
        return None
    return config if isinstance(config, ResNetConfig) else None
