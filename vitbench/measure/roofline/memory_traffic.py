"""Memory traffic of a forward pass in bytes, as an upper and a lower bound, and the number of operators.

``unfused``, the upper bound: every operator reads its inputs from memory and writes its outputs to memory, without any
caching. ``compulsory``, the lower bound: used weights, input and output, each once; neither caching nor fusion avoids
these (Hill & Smith's compulsory misses). Views move nothing.

The pass runs on fake CPU tensors, so that torch selects its CPU kernels (attention in one kernel) and allocates
nothing. Example: ``nn.Linear(3, 2, bias=False)`` on 4 rows in float32 reads 4·3 and 3·2 numbers and writes 4·2, in all
104 bytes by either bound. Not included: workspaces of kernels, such as a convolution's reordered input, and repeated
reads of a matmul whose tiles do not fit into the cache.
"""

# torch leaves dispatch modes untyped:
# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from vitbench.measure.meta_copy import Example, ModelLike, arguments, meta_copy, module_of
from vitbench.utils.errors import UserError

LIKE = ("_like", "new_")
"""Parts of the names of operators that use only the shape of a tensor."""

UNINITIALISED = ("empty", "new_empty", "empty_like", "empty_strided", "new_empty_strided")
"""Operators that create a tensor without writing to it."""

OVERWRITES = ("copy_", "fill_", "zero_", "normal_", "uniform_", "bernoulli_")
"""In-place operators that do not read the tensor that they write."""


@dataclass(frozen=True)
class Traffic:
    """Memory traffic of a forward pass."""

    unfused: int  # bytes, upper bound
    compulsory: int  # bytes, lower bound
    ops: int  # operators that torch launches, including views


class TrafficCounter(TorchDispatchMode):
    """Counts the bytes that operators read and write, on fake or real tensors.

    Attributes:
        bytes: bytes of all operators so far.
        ops: number of operators so far.
        storages: storages that were read.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0
        self.ops = 0
        self.storages: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if func.namespace == "prim":
            return out  # a query of a tensor's metadata, which only fake tensors dispatch
        self.ops += 1
        name = func.overloadpacket.__name__
        if name in UNINITIALISED:
            return out
        inputs = _tensors((args, kwargs))
        owners = {_storage(tensor) for tensor in inputs}
        written = _tensors(_written(func, args, kwargs))
        made = [tensor for tensor in _tensors(out) if _storage(tensor) not in owners]
        if not written and not made:
            return out  # a view, or the input itself
        skip = {id(tensor) for tensor in written} if name in OVERWRITES else set()
        read = [] if any(mark in name for mark in LIKE) else [t for t in inputs if id(t) not in skip]
        self.storages |= {_storage(tensor) for tensor in read}
        self.bytes += sum(map(size, (*read, *written, *made)))
        return out


def _tensors(nest: Any) -> list[Tensor]:
    """All tensors in nested tuples, lists and dicts, each memory region once."""
    found = [leaf for leaf in tree_leaves(nest) if isinstance(leaf, Tensor)]
    return list({(_storage(t), t.storage_offset(), t.shape, t.stride()): t for t in found}.values())


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)  # noqa: SLF001  # identifies a shared storage


def _written(func: Any, args: Any, kwargs: Any) -> list[Any]:
    """The arguments that an operator changes, from its schema."""
    changed = []
    for index, argument in enumerate(func._schema.arguments):  # noqa: SLF001  # torch has no public access
        if argument.alias_info is not None and argument.alias_info.is_write:
            changed.append(args[index] if index < len(args) else kwargs.get(argument.name))
    return changed


def size(tensor: Tensor) -> int:
    """Bytes of a tensor's elements in memory; elements repeated by ``expand`` count once."""
    elements = 1
    for length, stride in zip(tensor.shape, tensor.stride(), strict=True):
        elements *= length if stride or not length else 1
    return min(elements * tensor.element_size(), tensor.untyped_storage().nbytes())


def traffic(model_or_config: ModelLike, batch_size: int = 1, example: Example | None = None) -> Traffic:
    """The memory traffic of a model's forward pass.

    Args:
        model_or_config: a config, or a module in any mode, which is not changed; its dtype determines the bytes.
        batch_size: number of images; it replaces the batch size of the example.
        example: the module's input, a tensor or a tuple of tensors with the batch as first dimension.

    Raises:
        UserError: the model cannot be built, does not run on the example, or branches on values, which fake tensors do
            not have.
    """
    source = module_of(model_or_config)
    counter, fast = TrafficCounter(), torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(value=False)  # it hides its operators in one
    try:
        with FakeTensorMode(), torch.no_grad():
            module = meta_copy(source, "cpu").eval()
            inputs = arguments(model_or_config, example, batch_size, "cpu")
            with counter:
                outputs = module(*inputs)
            used = _used([*module.parameters(), *module.buffers()], counter.storages)
            ends = sum(size(tensor) for tensor in _tensors((inputs, outputs)))
            return Traffic(counter.bytes, used + ends, counter.ops)
    except UserError:
        raise
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        raise UserError(
            f"the memory traffic of {type(source).__name__} cannot be counted: {type(error).__name__}: {lines[0]}"
        ) from error
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _used(weights: Iterable[Tensor], read: set[int]) -> int:
    """Bytes of the weights that some operator read; tied weights count once."""
    return sum(size(tensor) for tensor in _tensors(list(weights)) if _storage(tensor) in read)
