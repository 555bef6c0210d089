"""Configs of models that are named on the command line."""

from __future__ import annotations

from vitbench.declare.checked import with_values
from vitbench.declare.external import ExternalConfig
from vitbench.declare.model import ModelConfig
from vitbench.declare.sizes import Size
from vitbench.declare.zoo import zoo
from vitbench.models.external import check_source
from vitbench.models.libraries import native_img_size


def config_of(name: str, img_size: Size | None = None) -> ModelConfig:
    """The config of a zoo name, ``timm:NAME``, ``torchvision:NAME`` or ``package.module:function``.

    Args:
        name: name of the model.
        img_size: in pixels; None: the size of the published model, or 224.

    Raises:
        UserError: the model does not exist, its package is missing, or it does not support the image size.
    """
    if ":" not in name:
        config: ModelConfig = zoo(name)
    else:
        config = external = ExternalConfig(name)
        check_source(external)
        img_size = native_img_size(name) if img_size is None else img_size
    return config if img_size is None else with_values(config, {"img_size": img_size})
