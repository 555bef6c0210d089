"""Counts by arithmetic from a config alone, without a model: the count that no tool can get wrong. No torch.

Each family lists its convolutions and matrix products (``Family.products``); here they are added up.
"""

from __future__ import annotations

from dataclasses import dataclass

from vitbench.declare.families import family_of
from vitbench.declare.model import ModelConfig
from vitbench.models.products import Product
from vitbench.utils.lazy import resolve


@dataclass(frozen=True)
class Form:
    """Sums over all products, per image."""

    macs: int
    macs_backward: int
    activations: int


def closed_form(config: ModelConfig) -> Form | None:
    """The counts of one image; None where the family has no closed form.

    Raises:
        ConfigError: no such family.
    """
    products = family_of(config).products
    if products is None:
        return None
    found: list[Product] = list(resolve(products)(config))
    return Form(
        macs=sum(product.macs for product in found),
        macs_backward=sum(product.macs_backward for product in found),
        activations=sum(product.outputs for product in found),
    )
