"""Which operations multiply matrices, by their names: a counter without a formula for one of these is incomplete.

Also the formula of a convolution's backward pass, where torch's own is wrong.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

_PRODUCT = re.compile(
    r"(?:^|[_:.])(?:[a-z]*mm|mv|addmv|v?dot|[a-z]*matmul|[a-z]*gemm|q?linear|trilinear|einsum|rnn|encoder|"
    r"(?:deform(?:able)?_)?conv(?:olution)?(?:_?transpose)?\d?d?|attention|attn|sdpa|cdist|euclidean_dist|matrix_exp)"
    r"(?:$|[_:.])|::(?:quantized_)?(?:lstm|gru)(?:$|\.)"
)
"""Convolutions, matrix products, attention; not ``_thnn_fused_lstm_cell``, which is elementwise."""

_KNOWN_NAMESPACES = frozenset(
    {
        *("aten", "prims", "prim", "profiler", "higher_order", "torchvision", "mkl", "mkldnn", "onednn", "sparse"),
        *("quantized", "_quantized", "quantization", "rngprims", "debugprims", "inductor", "inductor_prims", "export"),
        *("_native", "c10d", "_c10d_functional", "_c10d_functional_autograd", "_dtensor", "symm_mem"),
    }
)
"""Namespaces of torch and torchvision, where the name of an operation shows whether it is a product."""

_HIDDEN = ("triton_kernel_wrapper",)
"""Operations of torch that run a user's kernel."""


def may_multiply(name: str) -> bool:
    """Whether an operation is a product, or belongs to a third party and may hide one.

    Args:
        name: ``namespace::operation``, or the bare name of a higher-order operation.

    Examples: ``aten::mv`` and ``mylib::anything`` may; ``aten::gelu`` may not.
    """
    namespace, found, _ = name.rpartition("::")
    foreign = bool(found) and namespace not in _KNOWN_NAMESPACES
    return foreign or name.startswith(_HIDDEN) or bool(_PRODUCT.search(name))


def convolution_backward(
    gradient: Sequence[int], image: Sequence[int], weight: Sequence[int], *, transposed: bool, asked_for: Sequence[bool]
) -> int:
    """FLOPs of the gradients of image and weight, as far as they are needed: each has as many as the forward pass.

    torch 2.13's own formula counts the gradient of the weight once for every group.

    Args:
        gradient: shape of the output's gradient, (n, c_out, …).
        image: shape of the input, (n, c_in, …).
        weight: shape, (…, kernel).
        transposed: whether the convolution is transposed.
        asked_for: whether the gradients of image and weight are needed; further entries are ignored.
    """
    places = math.prod((image if transposed else gradient)[2:])
    return (bool(asked_for[0]) + bool(asked_for[1])) * 2 * image[0] * places * math.prod(weight)
