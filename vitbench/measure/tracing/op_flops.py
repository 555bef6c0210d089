"""FLOPs of a recorded operation from the shapes it was called with: matrix products, convolutions, attention.

As everywhere here a multiply-add is two, and only products count. The backward pass of attention counts the four
products that the gradient needs; kernels that compute the scores a second time to save memory do more.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from vitbench.measure.counts.matmul_ops import convolution_backward

Shape: TypeAlias = Sequence[int]
Formula: TypeAlias = Callable[[Sequence[Shape], Sequence[str]], int]

ATTENTION = (
    "flash_attention_for_cpu",
    "flash_attention",
    "efficient_attention",
    "cudnn_attention",
    "fused_attention_overrideable",
)


def op_flops(name: str, args: Mapping[str, Any]) -> int | None:
    """FLOPs of one call; None: no product, or none whose shapes were recorded.

    Args:
        name: of the operation, ``aten::addmm``.
        args: of its event: ``Input Dims`` and ``Concrete Inputs``.
    """
    formula = FORMULAS.get(name)
    if formula is None or "Input Dims" not in args:
        return None
    try:
        return formula(args["Input Dims"], args.get("Concrete Inputs", ()))
    except (IndexError, TypeError, ValueError, SyntaxError):
        return None  # a shape that was not recorded: an operation called with a list of tensors, or from a script


def _product(first: int) -> Formula:
    """Of (…, n, m) and (…, m, p), the inputs number ``first`` and the next."""

    def flops(dims: Sequence[Shape], _: Sequence[str]) -> int:
        left, (_middle, *columns) = dims[first], dims[first + 1]
        return 2 * math.prod(left) * (columns[-1] if columns else 1)

    return flops


def _convolution(dims: Sequence[Shape], values: Sequence[str]) -> int:
    image, weight = dims[0], dims[1]
    stride, padding, dilation, transposed = (_value(values[i]) for i in range(3, 7))
    sides = len(weight) - 2
    if transposed:
        places = math.prod(image[2:])
    else:
        places = math.prod(
            (image[2 + i] + 2 * _at(padding, i) - _at(dilation, i) * (weight[2 + i] - 1) - 1) // _at(stride, i) + 1
            for i in range(sides)
        )
    return 2 * image[0] * places * math.prod(weight)


def _convolution_backward(dims: Sequence[Shape], values: Sequence[str]) -> int:
    gradient, image, weight = dims[:3]
    return convolution_backward(gradient, image, weight, transposed=_value(values[7]), asked_for=_value(values[10]))


def _attention(first: int, times: int) -> Formula:
    """Scores and weighted values; query (…, queries, dim) is input number ``first``, then key and value."""

    def flops(dims: Sequence[Shape], _: Sequence[str]) -> int:
        query, key, value = dims[first : first + 3]
        return times * 2 * math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1])

    return flops


def _value(text: str) -> Any:
    return ast.literal_eval(text)


def _at(values: Sequence[int], side: int) -> int:
    """One number may stand for all sides."""
    return values[side] if len(values) > 1 else values[0]


FORMULAS: Mapping[str, Formula] = {
    **{f"aten::{name}": _product(0) for name in ("mm", "bmm", "mv", "dot")},
    **{f"aten::{name}": _product(1) for name in ("addmm", "_addmm_activation", "baddbmm", "addbmm", "addmv")},
    "aten::convolution": _convolution,
    "aten::convolution_backward": _convolution_backward,
    **{f"aten::_scaled_dot_product_{name}": _attention(0, 1) for name in ATTENTION},
    **{f"aten::_scaled_dot_product_{name}_backward": _attention(1, 2) for name in ATTENTION},
}
"""Name of an operation → its formula. What it calls in turn is not counted again."""
