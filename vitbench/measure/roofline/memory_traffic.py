"""Bytes that a forward pass moves between memory and the processor: two bounds, and the number of operations.

``unfused``: every operation reads its inputs and writes its outputs, as kernels do that are run one after another and
find nothing in a cache. ``compulsory``: weights that are used, input and output, each once; no caching and no fusion
avoids these (they are Hill & Smith's compulsory misses). What reaches memory lies between them. Views move nothing.

The pass runs on fake tensors of the CPU, so that the kernels are chosen which run there (attention in one kernel) and
nothing is allocated. Example: ``nn.Linear(3, 2, bias=False)`` on 4 rows in float32 reads 4·3 and 3·2 numbers and
writes 4·2, 104 bytes by either count. What it leaves out: workspaces inside kernels, such as a convolution's reordered
input, and what a matrix product reads again because its tiles do not fit.
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
"""In the names of operations that take a tensor for its shape alone."""

MAKES = ("empty", "new_empty", "empty_like", "empty_strided", "new_empty_strided")
"""Operations that write nothing into what they make."""

OVERWRITES = ("copy_", "fill_", "zero_", "normal_", "uniform_", "bernoulli_")
"""Operations in place that do not read what they write."""


@dataclass(frozen=True)
class Traffic:
    """What one forward pass moves."""

    unfused: int  # bytes, at most
    compulsory: int  # bytes, at least
    ops: int  # operations that torch starts, views among them


class TrafficCounter(TorchDispatchMode):
    """Counts the bytes that operations read and write, on fake tensors or real ones.

    Attributes:
        bytes: of all operations so far.
        ops: how many they were.
        storages: of everything that was read.
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
            return out  # a question about a tensor, which only fake ones pass on
        self.ops += 1
        name = func.overloadpacket.__name__
        if name in MAKES:
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
    """All tensors in a nest of tuples, lists and dicts, each region of memory once."""
    found = [leaf for leaf in tree_leaves(nest) if isinstance(leaf, Tensor)]
    return list({(_storage(t), t.storage_offset(), t.shape, t.stride()): t for t in found}.values())


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)  # noqa: SLF001  # the one name by which two tensors know their common storage


def _written(func: Any, args: Any, kwargs: Any) -> list[Any]:
    """The arguments that an operation changes, by its schema."""
    changed = []
    for index, argument in enumerate(func._schema.arguments):  # noqa: SLF001  # no public name for it
        if argument.alias_info is not None and argument.alias_info.is_write:
            changed.append(args[index] if index < len(args) else kwargs.get(argument.name))
    return changed


def size(tensor: Tensor) -> int:
    """Bytes of a tensor's elements in memory; what ``expand`` repeats lies there once."""
    elements = 1
    for length, stride in zip(tensor.shape, tensor.stride(), strict=True):
        elements *= length if stride or not length else 1
    return min(elements * tensor.element_size(), tensor.untyped_storage().nbytes())


def traffic(model_or_config: ModelLike, batch_size: int = 1, example: Example | None = None) -> Traffic:
    """What one forward pass of a model moves.

    Args:
        model_or_config: a config, or a module in whichever mode, which is not changed; its dtype is what is counted.
        batch_size: images at once; it replaces the batch of the example.
        example: what a module is called with, a tensor or a tuple of them with the batch as first dimension.

    Raises:
        UserError: the model cannot be built, does not run on such an example, or decides by values that fake tensors
            do not have.
    """
    source = module_of(model_or_config)
    counter, fast = TrafficCounter(), torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(value=False)  # it hides its operations in one
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
        said = str(error).strip().splitlines() or [""]
        raise UserError(
            f"the bytes that {type(source).__name__} moves cannot be counted: {type(error).__name__}: {said[0]}"
        ) from error
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _used(weights: Iterable[Tensor], read: set[int]) -> int:
    """Bytes of the weights that some operation read, tied ones once."""
    return sum(size(tensor) for tensor in _tensors(list(weights)) if _storage(tensor) in read)
