"""The MACs that common counters report, beside the complete count: what each omits, and what share of the whole.

Three omissions go unnoticed by users. fvcore has no formula for fused attention. torch's ``FlopCounterMode`` has
formulas for CUDA's attention kernels and none for the CPU's. And ``nn.TransformerEncoderLayer``, in evaluation mode
without gradients, runs as one fused operation, which neither counter can see into.
"""

# torch leaves dispatch modes untyped:
# mypy: allow-untyped-calls

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from vitbench.declare.checked import with_values
from vitbench.declare.model import ModelConfig
from vitbench.declare.vit import ViTConfig
from vitbench.measure.counts.closed_form import closed_form
from vitbench.measure.counts.flops import count
from vitbench.measure.counts.fvcore_counter import default_count
from vitbench.measure.meta_copy import arguments, copied, meta_copy, module_of, one_element
from vitbench.models.by_name import config_of
from vitbench.models.vit.closed_form import products

SIDES = (224, 384)
"""Default image sizes in pixels."""

HEADS = (
    *("Model", "Image (px)", "MACs (G)", "of them attention", "fvcore as it comes", "torch's counter on the CPU"),
    *("torch's layers: fvcore", "torch's layers: torch's counter"),
)
"""The table's columns; the last two count the same network built of ``nn.TransformerEncoderLayer``."""

NONE = "–"

WAYS = ("fvcore", "torch_cpu", "layers_fvcore", "layers_torch_cpu")


def rows(
    names: Iterable[str], sides: Iterable[int] = SIDES, *, progress: Callable[[str], None] = lambda _: None
) -> list[dict[str, Any]]:
    """A row for each model and image size: MACs of one image's forward pass, by ``count`` and by common counters.

    Raises:
        UserError: no such model, or an image that it cannot take.
    """
    found = []
    try:
        for name, side in itertools.product(names, sides):
            progress(f"{name} at {side} px")
            found.append({"model": name, "img_size": side} | omitted_macs(config_of(name, side)))
    finally:
        progress("")
    return found


def omitted_macs(config: ModelConfig) -> dict[str, int | None]:
    """Counts a model completely, and by common counters.

    Returns:
        ``macs``; ``attention_macs``, scores and weighted values, of a ViT; ``fvcore_macs`` and ``torch_cpu_macs``; and
        the last two for torch's layers in place of ours. None where a count does not apply.

    Raises:
        UserError: the model cannot be built, or does not run without its data.
    """
    module = module_of(config)
    inputs = arguments(config, None, 1, "cpu")
    found: dict[str, int | None] = dict.fromkeys(("macs", "attention_macs", *(f"{way}_macs" for way in WAYS)))
    form = closed_form(config)
    found["macs"] = count(config).macs if form is None else form.macs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found["fvcore_macs"] = default_count(copied(module, one_element).eval(), inputs)
        found["torch_cpu_macs"] = on_the_cpu(module, inputs)
        if isinstance(config, ViTConfig):
            tokens = config.num_patches + config.num_prefix_tokens
            found["attention_macs"] = config.depth * 2 * tokens**2 * config.embed_dim
            if _as_torchs(config):
                layers, inputs = torchs_layers(config), (torch.zeros(1, tokens, config.embed_dim),)
                found["layers_fvcore_macs"] = _rest(config) + default_count(layers, inputs)
                found["layers_torch_cpu_macs"] = _rest(config) + on_the_cpu(layers, inputs)
    return found


def cells(found: Iterable[Mapping[str, Any]]) -> list[list[str]]:
    """The table's rows under ``HEADS``: GMACs, and the deviation of each counter."""
    lines = []
    for row in found:
        macs, attention = row["macs"], row["attention_macs"]
        share = NONE if attention is None else f"{100 * attention / macs:.1f} %"
        ways = [_beside(row[f"{way}_macs"], macs) for way in WAYS]
        lines.append([row["model"], str(row["img_size"]), f"{macs / 1e9:.2f}", share, *ways])
    return lines


def _beside(value: int | None, macs: int) -> str:
    if value is None:
        return NONE
    return f"{value / 1e9:.2f} ({100 * (value / macs - 1):+.1f} %)".replace("-", "−")


def on_the_cpu(module: nn.Module, inputs: tuple[Tensor, ...]) -> int:
    """MACs that ``FlopCounterMode`` counts for the CPU's kernels, in evaluation mode without gradients and data."""
    with FakeTensorMode(), torch.no_grad():
        without_data = meta_copy(module, "cpu").eval()
        empty = tuple(torch.empty(tensor.shape, dtype=tensor.dtype) for tensor in inputs)
        with FlopCounterMode(display=False) as counter:
            without_data(*empty)
    return int(counter.get_total_flops()) // 2


def torchs_layers(config: ViTConfig) -> nn.Module:
    """The same blocks made of torch's own layers, in evaluation mode."""
    settings: dict[str, Any] = {"activation": "gelu", "batch_first": True, "norm_first": True}
    layer = nn.TransformerEncoderLayer(config.embed_dim, config.num_heads, config.mlp_dim, **settings)
    return nn.TransformerEncoder(layer, config.depth, enable_nested_tensor=False).eval()


def _as_torchs(config: ViTConfig) -> bool:
    """Whether torch has the same blocks and fuses each into one operation, which needs an even number of heads."""
    usual = (config.norm, config.norm_position, config.act, config.mlp) == ("layernorm", "pre", "gelu", "mlp")
    return usual and config.num_heads % 2 == 0


def _rest(config: ViTConfig) -> int:
    """MACs outside the blocks, which every counter counts."""
    one, two = (sum(product.macs for product in products(with_values(config, {"depth": depth}))) for depth in (1, 2))
    return 2 * one - two
