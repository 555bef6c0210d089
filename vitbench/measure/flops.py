"""Multiply-adds, FLOPs and activations of a model, counted three ways that must agree.

A count is a property of the architecture, not of a kernel: matrix products, convolutions and attention are counted,
norms, activations, pooling and position embeddings are not. A multiply-add is one MAC and two FLOPs. Counters in
common use leave out fused attention without a word (-14 % on ViT-Ti/16 at 224 px); here the forward pass runs on
torch's ``meta`` device, where attention falls apart into its two matrix products, and what torch's counter finds is
set beside arithmetic from the config (``closed_form``) and beside fvcore with a formula for attention.
Example: ViT-B/16 at 224 px is 17.56 GMAC by all three; with fvcore's norms 17.58; without attention 16.85.
"""

# torch leaves dispatch modes untyped:
# mypy: allow-untyped-calls

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from vitbench.config import ResNetConfig, ViTConfig
from vitbench.errors import UserError
from vitbench.measure.closed_form import closed_form
from vitbench.measure.weightless import Example, ModelLike, Shells, arguments, copied, module_of, one_element

DISAGREEMENT = 0.001
"""Two methods that are further apart than this share of the count are named."""

_PRODUCT = re.compile(
    r"(?:^|[_:.])(?:[a-z]*mm|mv|addmv|v?dot|[a-z]*matmul|[a-z]*gemm|linear|trilinear|einsum|rnn|encoder|"
    r"(?:deform(?:able)?_)?conv(?:olution)?(?:_?transpose)?\d?d?|attention|attn|sdpa)(?:$|[_:.])|::(?:lstm|gru)(?:$|\.)"
)
"""Names of operations that multiply matrices; ``_thnn_fused_lstm_cell``, elementwise, is none."""

_NO_PRODUCTS = tuple(
    f"aten::{name}"
    for name in (
        *("batch_norm", "group_norm", "layer_norm", "instance_norm"),
        *("adaptive_avg_pool2d", "grid_sampler", "upsample_nearest2d", "upsample_bilinear2d"),
    )
)
"""What fvcore counts beyond products."""


@dataclass(frozen=True)
class Counts:
    """Costs of one image, in evaluation mode."""

    params: int
    macs: int
    macs_backward: int
    """Multiply-adds of the backward pass, where no gradient of the image is asked for."""
    activations: int
    """Elements put out by convolutions, matrix products and attention, its scores included."""
    by_module: Mapping[str, int]
    """Dotted path of a module → MACs of the forward pass inside it; ``""`` is the whole."""
    methods: Mapping[str, int]
    """``closed_form`` (ViT and ResNet configs), ``torch_meta``, ``fvcore`` → MACs of the forward pass."""
    methods_backward: Mapping[str, int]
    """``closed_form``, ``torch_meta`` → MACs of the backward pass."""
    complete: bool
    """Every convolution, matrix product and attention that ran has a formula; if not, ``macs`` is a lower bound."""
    findings: tuple[str, ...]
    """What does not add up, a sentence each."""

    @property
    def flops(self) -> int:
        return 2 * self.macs

    @property
    def flops_backward(self) -> int:
        return 2 * self.macs_backward


def count(model_or_config: ModelLike, example: Example | None = None) -> Counts:
    """Counts one image's forward and backward pass. The module is not changed and its data is not copied.

    Args:
        model_or_config: a config, or a module in whichever mode; it is counted in evaluation mode.
        example: what a module is called with, a tensor or a tuple of them; the first dimension is the batch, of which
            one is counted.

    Raises:
        UserError: the model cannot be built, or does not run without its data on such an example.
    """
    module = module_of(model_or_config)
    macs, backward, activations, by_module, unknown = _by_torch(
        copied(module, Shells("meta")).eval(), arguments(model_or_config, example, 1, "meta")
    )
    findings = [f"{name} has no formula: the count leaves it out" for name in sorted(unknown)]
    methods, methods_backward = {"torch_meta": macs}, {"torch_meta": backward}
    if isinstance(model_or_config, (ViTConfig, ResNetConfig)):
        form = closed_form(model_or_config)
        methods = {"closed_form": form.macs} | methods
        methods_backward = {"closed_form": form.macs_backward} | methods_backward
        findings += _disagreements({"closed_form": form.activations, "torch_meta": activations}, "activations")
    try:
        methods["fvcore"], unsupported = _by_fvcore(
            copied(module, one_element).eval(), arguments(model_or_config, example, 1, "cpu")
        )
    except Exception as error:  # noqa: BLE001  # a tracer's ways to fail on other people's models have no common type
        findings.append(f"fvcore cannot count this model: {type(error).__name__}: {_first_line(error)}")
    else:
        findings += [f"fvcore has no formula for {name}" for name in sorted(unsupported)]
    findings += _disagreements(methods, "MACs") + _disagreements(methods_backward, "MACs of the backward pass")
    return Counts(
        params=sum(parameter.numel() for parameter in module.parameters()),
        macs=macs,
        macs_backward=backward,
        activations=activations,
        by_module=by_module,
        methods=methods,
        methods_backward=methods_backward,
        complete=not unknown,
        findings=tuple(findings),
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _disagreements(counts: Mapping[str, int], what: str) -> list[str]:
    """One sentence where the methods are apart."""
    low, high = min(counts.values()), max(counts.values())
    if high - low <= DISAGREEMENT * high:
        return []
    each = ", ".join(f"{method} {value:,}" for method, value in counts.items())
    return [f"the methods disagree on {what} by {(high - low) / high:.1%}: {each}"]


class _Products(TorchDispatchMode):
    """Sees every operation after torch's counter has taken it apart; collects outputs, and products it cannot count."""

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()
        self.outputs = 0
        self.unknown: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if getattr(func, "_overloadpacket", func) in flop_registry:
            self.outputs += next((t.numel() for t in tree_leaves(out) if isinstance(t, Tensor)), 0)
        elif _PRODUCT.search(func.name()):
            self.unknown.add(str(getattr(func, "_overloadpacket", func)))
        return out


def _by_torch(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[int, int, int, dict[str, int], set[str]]:
    """MACs forward and backward, activations, MACs by module, names of products without a formula."""
    products = _Products()
    root = type(module).__name__
    try:
        with torch.device("meta"), torch.enable_grad(), products, FlopCounterMode(display=False) as counter:
            outputs = [leaf for leaf in tree_leaves(module(*inputs)) if isinstance(leaf, Tensor)]
            forward, activations = counter.get_total_flops() // 2, products.outputs
            found = {path: sum(ops.values()) // 2 for path, ops in counter.get_flop_counts().items()}
            trained = [leaf for leaf in outputs if leaf.requires_grad]
            if trained:
                torch.autograd.backward(trained, [torch.ones_like(leaf) for leaf in trained])
            backward = counter.get_total_flops() // 2 - forward
    except UserError:
        raise
    except Exception as error:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in inputs)
        raise UserError(
            f"{root} does not run on an input of shape {shapes} without its data (torch's meta device): "
            f"{_first_line(error)}"
        ) from error
    paths = {name: f"{root}.{name}" if name else "Global" for name, _ in module.named_modules()}
    by_module = {name: found[path] for name, path in paths.items() if path in found}
    return forward, backward, activations, by_module, products.unknown


def _by_fvcore(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[int, set[str]]:
    """MACs forward, and names of products without a formula.

    On the CPU, with weights of one element: jit's tracer, which fvcore uses, does not record a convolution on ``meta``.
    """
    with torch.no_grad(), _traceable():
        from fvcore.nn import FlopCountAnalysis

        analysis = FlopCountAnalysis(module, inputs)
        analysis.set_op_handle(**dict.fromkeys(_NO_PRODUCTS, _nothing))  # a handle of None would leave fvcore's own
        analysis.set_op_handle("aten::scaled_dot_product_attention", _attention_macs)
        analysis.set_op_handle("aten::baddbmm", _baddbmm_macs)
        total = int(analysis.total())
        return total, {name for name in analysis.unsupported_ops() if _PRODUCT.search(name)}


@contextmanager
def _traceable() -> Iterator[None]:
    """Silences fvcore, which warns of every addition, and turns off the fused encoder layer that it would not see."""
    logger, fast = logging.getLogger("fvcore"), torch.backends.mha.get_fastpath_enabled()
    level = logger.level
    logger.setLevel(logging.ERROR)
    torch.backends.mha.set_fastpath_enabled(value=False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
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
