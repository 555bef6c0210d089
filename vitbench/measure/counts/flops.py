"""Multiply-adds, FLOPs and activations of a model, counted by three methods that must agree.

A count is a property of the architecture, not of a kernel: matrix products, convolutions and attention are counted;
norms, activations, pooling and position embeddings are not. A multiply-add is one MAC and two FLOPs. Common counters
omit fused attention without a warning (-14 % on ViT-Ti/16 at 224 px). Here the forward pass runs on torch's ``meta``
device, where attention is decomposed into its two matrix products; the count of torch's counter is compared with
arithmetic from the config (``closed_form``) and with fvcore, which is given a formula for attention.
Example: ViT-B/16 at 224 px has 17.56 GMAC by all three; 17.58 with fvcore's norms; 16.85 without attention.
"""

# torch leaves dispatch modes untyped:
# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, flop_registry, shape_wrapper

from vitbench.declare.model import ModelConfig
from vitbench.measure.counts.closed_form import closed_form
from vitbench.measure.counts.fvcore_counter import by_fvcore
from vitbench.measure.counts.matmul_ops import convolution_backward, may_multiply
from vitbench.measure.meta_copy import Example, ModelLike, arguments, copied, meta_copy, module_of, one_element
from vitbench.utils.errors import UserError, first_line

DISAGREEMENT = 0.001
"""Methods that differ by more than this share of the count are reported as a disagreement."""


@dataclass(frozen=True)
class Counts:
    """Costs of one image, in evaluation mode."""

    params: int
    macs: int
    macs_backward: int | None
    """Multiply-adds of the backward pass without the gradient of the image; None: it cannot be run."""
    activations: int
    """Elements in the outputs of convolutions, matrix products and attention, including its scores."""
    by_module: Mapping[str, int]
    """Dotted path of a module → MACs of its forward pass; ``""`` is the whole model."""
    by_module_backward: Mapping[str, int]
    """The same for the backward pass, for modules with MACs in the forward pass."""
    methods: Mapping[str, int]
    """``closed_form`` (where the family has one), ``torch_meta``, ``fvcore`` → MACs of the forward pass."""
    methods_backward: Mapping[str, int]
    """``closed_form``, ``torch_meta`` → MACs of the backward pass."""
    complete: bool
    """Every convolution, matrix product and attention that ran has a formula; if not, ``macs`` is a lower bound."""
    findings: tuple[str, ...]
    """Disagreements and omissions, a sentence each."""

    @property
    def flops(self) -> int:
        return 2 * self.macs

    @property
    def flops_backward(self) -> int | None:
        return None if self.macs_backward is None else 2 * self.macs_backward


def count(model_or_config: ModelLike, example: Example | None = None) -> Counts:
    """Counts one image's forward and backward pass. The module is not changed and its data is not copied.

    Args:
        model_or_config: a config, or a module in any mode; it is counted in evaluation mode.
        example: the input of a module, a tensor or a tuple of tensors; the first dimension is the batch, and one image
            of it is counted.

    Raises:
        UserError: the model cannot be built, or does not run without its data on this example.
    """
    module = module_of(model_or_config)
    found = _by_torch(meta_copy(module).eval(), arguments(model_or_config, example, 1, "meta"))
    findings = [f"{name} has no formula: the count leaves it out" for name in sorted(found.unknown)]
    methods, methods_backward = {"torch_meta": found.forward}, {}
    if found.backward is not None:
        methods_backward["torch_meta"] = found.backward
    else:
        findings.append(f"the backward pass cannot be counted: {found.no_backward}")
    form = closed_form(model_or_config) if isinstance(model_or_config, ModelConfig) else None
    if form is not None:
        methods = {"closed_form": form.macs} | methods
        methods_backward = {"closed_form": form.macs_backward} | methods_backward
        findings += _disagreements({"closed_form": form.activations, "torch_meta": found.activations}, "activations")
    try:
        methods["fvcore"], unsupported = by_fvcore(
            copied(module, one_element).eval(), arguments(model_or_config, example, 1, "cpu")
        )
    except Exception as error:  # noqa: BLE001  # a tracer fails on other people's models with errors of any type
        findings.append(f"fvcore cannot count this model: {type(error).__name__}: {first_line(error)}")
    else:
        findings += [f"fvcore has no formula for {name}" for name in sorted(unsupported)]
    findings += _disagreements(methods, "MACs") + _disagreements(methods_backward, "MACs of the backward pass")
    return Counts(
        params=sum(parameter.numel() for parameter in module.parameters()),
        macs=found.forward,
        macs_backward=found.backward,
        activations=found.activations,
        by_module=found.by_module,
        by_module_backward=found.by_module_backward,
        methods=methods,
        methods_backward=methods_backward,
        complete=not found.unknown,
        findings=tuple(findings),
    )


def _disagreements(counts: Mapping[str, int], what: str) -> list[str]:
    """One sentence if the methods disagree, else none."""
    low, high = min(counts.values(), default=0), max(counts.values(), default=0)
    if high - low <= DISAGREEMENT * high:
        return []
    each = ", ".join(f"{method} {value:,}" for method, value in counts.items())
    return [f"the methods disagree on {what} by {(high - low) / high:.1%}: {each}"]


def _convolution_backward(
    gradient: Sequence[int], image: Sequence[int], weight: Sequence[int], *rest: Any, **_: Any
) -> int:
    """The formula with the arguments of torch's counter: shapes, then the operation's other arguments."""
    return convolution_backward(gradient, image, weight, transposed=rest[4], asked_for=rest[7])


OURS = {torch.ops.aten.convolution_backward: _convolution_backward}
FORMULAS = {**flop_registry, **{op: shape_wrapper(formula) for op, formula in OURS.items()}}


class _Products(TorchDispatchMode):
    """Sees every operation after torch's counter has decomposed it; collects outputs, and products without a formula.

    Products of the backward pass are attributed to the modules that were running when their autograd node was created:
    the counter's own tracker loses track of modules in the backward pass (it reports 0 for a ViT's head).
    """

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()
        self.outputs = 0
        self.unknown: set[str] = set()
        self.backward: dict[str, int] = {}  # path of a module → FLOPs
        self.running: Callable[[], Iterable[str]] = tuple
        self._created_by: dict[int, frozenset[str]] = {}  # an autograd node's number → modules

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        node: Any = torch._C._current_autograd_node()  # noqa: SLF001  # of the backward pass, if it is running
        if node is None:  # the running operation's node is the newest
            self._created_by.setdefault(torch._C._autograd._get_sequence_nr() - 1, frozenset(self.running()))  # noqa: SLF001
        out = func(*args, **(kwargs or {}))
        packet = getattr(func, "_overloadpacket", func)
        if packet in FORMULAS:
            self.outputs += next((t.numel() for t in tree_leaves(out) if isinstance(t, Tensor)), 0)
            if node is not None:
                flops = FORMULAS[packet](*args, **(kwargs or {}), out_val=out)
                for path in self._created_by.get(node._sequence_nr(), ()):  # noqa: SLF001
                    self.backward[path] = self.backward.get(path, 0) + flops
        elif may_multiply(func.name()):
            self.unknown.add(str(packet))
        return out


@dataclass(frozen=True)
class _Found:
    """The result of torch's counter."""

    forward: int
    backward: int | None
    activations: int
    by_module: dict[str, int]
    by_module_backward: dict[str, int]
    unknown: set[str]  # products without a formula, in both passes
    no_backward: str = ""  # why the backward pass could not be run


def _by_torch(module: nn.Module, inputs: tuple[Tensor, ...]) -> _Found:
    products = _Products()
    root = type(module).__name__
    paths = {name: f"{root}.{name}" if name else "Global" for name, _ in module.named_modules()}
    with products, FlopCounterMode(display=False, custom_mapping=OURS) as counter:
        products.running = lambda: counter.mod_tracker.parents
        try:
            with torch.device("meta"), torch.enable_grad():
                outputs = [leaf for leaf in tree_leaves(module(*inputs)) if isinstance(leaf, Tensor)]
        except UserError:
            raise
        except Exception as error:
            shapes = ", ".join(str(tuple(tensor.shape)) for tensor in inputs)
            raise UserError(
                f"{root} does not run on an input of shape {shapes} without its data (torch's meta device): "
                f"{first_line(error)}"
            ) from error
        forward, activations = counter.get_total_flops() // 2, products.outputs
        by_module = _by_path(counter, paths)
        trained = [leaf for leaf in outputs if leaf.requires_grad]
        try:
            if trained:
                torch.autograd.backward(trained, [torch.ones_like(leaf) for leaf in trained])
        except Exception as error:  # noqa: BLE001  # an operation without a gradient must not cost the forward count
            said = f"{type(error).__name__}: {first_line(error)}"
            return _Found(forward, None, activations, by_module, {}, products.unknown, said)
        backward = counter.get_total_flops() // 2 - forward
    return _Found(
        forward,
        backward,
        activations,
        by_module,
        {name: products.backward.get(paths[name], 0) // 2 for name in by_module},
        products.unknown,
    )


def _by_path(counter: FlopCounterMode, paths: Mapping[str, str]) -> dict[str, int]:
    """Path → MACs so far inside each module that has any."""
    found = {path: sum(ops.values()) // 2 for path, ops in counter.get_flop_counts().items()}
    return {name: found[path] for name, path in paths.items() if path in found}
