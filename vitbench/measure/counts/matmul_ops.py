"""Which operations multiply matrices, by their names: a counter without a formula for one of these is incomplete.

And the one formula that both of our counters have to bring along.
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
"""Convolutions, matrix products, attention; ``_thnn_fused_lstm_cell``, elementwise, is none."""

_OURS_TO_SEE = frozenset(
    {
        *("aten", "prims", "prim", "profiler", "higher_order", "torchvision", "mkl", "mkldnn", "onednn", "sparse"),
        *("quantized", "_quantized", "quantization", "rngprims", "debugprims", "inductor", "inductor_prims", "export"),
        *("_native", "c10d", "_c10d_functional", "_c10d_functional_autograd", "_dtensor", "symm_mem"),
    }
)
"""Namespaces of torch and torchvision, in which a product says so by its name."""

_HIDDEN = ("triton_kernel_wrapper",)
"""Operations of torch that run somebody's kernel."""


def may_multiply(name: str) -> bool:
    """Whether an operation is a product, or somebody else's, into which nobody can see.

    Args:
        name: ``namespace::operation``, or the bare name of a higher-order operation.

    Examples: ``aten::mv`` and ``mylib::anything`` may; ``aten::gelu`` may not.
    """
    namespace, found, _ = name.rpartition("::")
    foreign = bool(found) and namespace not in _OURS_TO_SEE
    return foreign or name.startswith(_HIDDEN) or bool(_PRODUCT.search(name))


def convolution_backward(
    gradient: Sequence[int], image: Sequence[int], weight: Sequence[int], *, transposed: bool, asked_for: Sequence[bool]
) -> int:
    """FLOPs of the gradients of image and weight, those asked for: each as many as of the forward pass.

    torch 2.13's own formula takes the weight's as many times too often as there are groups.

    Args:
        gradient: shape of the output's gradient, (n, c_out, …).
        image: shape of the input, (n, c_in, …).
        weight: shape, (…, kernel).
        transposed: whether the convolution is.
        asked_for: whether the gradients of image and weight are; what follows does not count.
    """
    places = math.prod((image if transposed else gradient)[2:])
    return (bool(asked_for[0]) + bool(asked_for[1])) * 2 * image[0] * places * math.prod(weight)
