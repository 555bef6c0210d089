"""fvcore's count of multiply-adds: of products alone with a formula for attention, or with its own defaults."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from vitbench.measure.counts.matmul_ops import may_multiply

_NO_PRODUCTS = tuple(
    f"aten::{name}"
    for name in (
        *("batch_norm", "group_norm", "layer_norm", "instance_norm"),
        *("adaptive_avg_pool2d", "grid_sampler", "upsample_nearest2d", "upsample_bilinear2d"),
    )
)
"""Operations that fvcore counts although they are not products."""


def by_fvcore(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[int, set[str]]:
    """MACs of the forward pass, and names of products without a formula.

    Runs on the CPU with weights of one element, as jit's tracer, which fvcore uses, records no convolution on ``meta``.
    """
    with torch.no_grad(), _quiet(), _without_fused_layers():
        from fvcore.nn import FlopCountAnalysis

        analysis = FlopCountAnalysis(module, inputs)
        analysis.set_op_handle(**dict.fromkeys(_NO_PRODUCTS, _nothing))  # a handle of None would leave fvcore's own
        analysis.set_op_handle("aten::scaled_dot_product_attention", _attention_macs)
        analysis.set_op_handle("aten::baddbmm", _baddbmm_macs)
        total = int(analysis.total())
        return total, {name for name in analysis.unsupported_ops() if may_multiply(name)}


def default_count(module: nn.Module, inputs: tuple[Tensor, ...]) -> int:
    """``FlopCountAnalysis(module, inputs).total()``, which fvcore calls FLOPs: MACs, and 5 for each element of a norm.

    Nothing is added or switched off; fvcore logs what it omits, and the log is silenced here.
    """
    with torch.no_grad(), _quiet():
        from fvcore.nn import FlopCountAnalysis

        return int(FlopCountAnalysis(module, inputs).total())


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences fvcore, which warns about every addition, and jit's tracer."""
    logger = logging.getLogger("fvcore")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


@contextmanager
def _without_fused_layers() -> Iterator[None]:
    """Turns off torch's fused encoder layer and multi-head attention, each one unknown operation to a tracer."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(value=False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _nothing(_inputs: list[Any], _outputs: list[Any]) -> int:
    return 0


def _shape(value: Any) -> list[int]:
    return list(value.type().sizes())


def _attention_macs(inputs: list[Any], _outputs: list[Any]) -> int:
    """Scores and weighted values; query (..., heads, queries, dim), key and value (..., keys, dim)."""
    query, key, value = (_shape(tensor) for tensor in inputs[:3])
    rows = 1
    for side in query[:-1]:
        rows *= side
    return rows * key[-2] * (query[-1] + value[-1])


def _baddbmm_macs(inputs: list[Any], _outputs: list[Any]) -> int:
    """(batch, n, m) @ (batch, m, p), added to the first input."""
    (batch, n, m), (_, _, p) = _shape(inputs[1]), _shape(inputs[2])
    return int(batch * n * m * p)
