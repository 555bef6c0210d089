"""Modelled peak memory of a model's tensors, without allocating them.

The forward pass or training step runs on fake CPU tensors, which have sizes but no data, while a tracker records when
each storage is created and freed. The result depends on model, batch and step only, not on the machine, its load or its
allocator, and is reproducible to the byte. It leaves out workspaces of kernels and rounding of the allocator: nothing
on the ViTs tried (equal to the allocator's peak), 0.3 to 3 % on ResNet-18 and 50, and up to 17 % on tiny ResNets, whose
CPU convolutions reorder their input first. Example: ViT-B/16 at 224 px and batch 1 needs 335 MiB, 330 of them
parameters.
"""

# torch leaves dispatch modes untyped:
# mypy: allow-untyped-calls

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import torch
import torch.nn.functional as F  # noqa: N812  # the customary name
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from vitbench.declare.train import TrainConfig
from vitbench.measure.meta_copy import Example, ModelLike, arguments, meta_copy, module_of
from vitbench.train.optimizer import adamw
from vitbench.utils.errors import UserError, first_line

Part: TypeAlias = Literal["parameters", "gradients", "optimizer", "activations", "workspace"]
PARTS: tuple[Part, ...] = get_args(Part)


@dataclass(frozen=True)
class MemoryPeak:
    """Bytes in all storages at the peak, in total and by part."""

    bytes: int
    parameters: int
    """Parameters and buffers."""
    gradients: int
    """Gradients of parameters."""
    optimizer: int
    """State of the optimiser."""
    activations: int
    """The batch, and tensors created in the forward pass."""
    workspace: int
    """Other tensors of the backward pass (gradients of activations, recomputed layers) or the optimiser step."""


class StorageTracker(TorchDispatchMode):
    """Records the creation and release of every storage that an operator outputs, fake or real.

    A storage belongs to the value of ``part`` at its creation, unless ``claim`` reassigns it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.part: Part = "activations"
        self.events: list[tuple[int, int]] = []  # (number of a storage, change in bytes)
        self.parts: list[Part] = []  # by number of the storage
        self._alive: dict[int, int] = {}  # address of a storage → its number
        self._finalizers: list[weakref.finalize[Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.see(out)
        return out

    def see(self, tensors: Any) -> None:
        """Tracks the storages of all tensors in nested tuples, lists and dicts from now on."""
        for tensor in tree_leaves(tensors):
            if isinstance(tensor, Tensor):
                self._number(tensor)

    def claim(self, part: Part, tensors: Iterable[Tensor | None]) -> None:
        """Assigns the storages of these tensors to a part, from their creation on."""
        for tensor in tensors:
            if tensor is not None:
                self.parts[self._number(tensor)] = part

    def peak(self, since: int = 0) -> MemoryPeak:
        """The peak over the events from index ``since`` on; the first of equal ones."""
        current: dict[Part, int] = dict.fromkeys(PARTS, 0)
        peak, total = dict(current), 0
        for index, (number, size) in enumerate(self.events):
            current[self.parts[number]] += size
            total += size
            if index >= since - 1 and total > sum(peak.values()):
                peak = dict(current)
        return MemoryPeak(bytes=sum(peak.values()), **peak)

    def _number(self, tensor: Tensor) -> int:
        storage = tensor.untyped_storage()
        address = storage._cdata  # noqa: SLF001  # unique among living storages, and releases are tracked
        if address not in self._alive:
            number, size = len(self.parts), storage.nbytes()
            self._alive[address] = number
            self.parts.append(self.part)
            self.events.append((number, size))
            self._finalizers.append(weakref.finalize(storage, self._end, address, number, size))
        return self._alive[address]

    def _end(self, address: int, number: int, size: int) -> None:
        del self._alive[address]
        self.events.append((number, -size))

    def close(self) -> None:
        """Stops tracking the storages that are still alive."""
        for finalizer in self._finalizers:
            finalizer.detach()


def memory(
    model_or_config: ModelLike, batch_size: int = 1, training: bool = False, example: Example | None = None
) -> MemoryPeak:
    """The modelled peak of a forward pass, or of a training step after the optimiser has created its state.

    A training step is the forward pass in training mode, cross-entropy, the backward pass, and the recipe's AdamW, as
    on the CPU in the tensors' own dtype. ``nn.TransformerEncoderLayer`` is modelled without its fused inference kernel,
    which hides its allocations.

    Args:
        model_or_config: a config, or a module in any mode; it is not changed.
        batch_size: number of images; it replaces the batch size of the example.
        training: whether to model a training step.
        example: the module's input, a tensor or a tuple of tensors with the batch as first dimension.

    Raises:
        UserError: the model cannot be built, does not run on the example, branches on values, which fake tensors do not
            have, or, for training, does not output scores (batch, classes, ...).
    """
    source = module_of(model_or_config)
    tracker = StorageTracker()
    with FakeTensorMode(), _deterministic():
        module = meta_copy(source, "cpu").train(training)
        inputs = arguments(model_or_config, example, batch_size, "cpu")
        tracker.claim("parameters", [*module.parameters(), *module.buffers()])
        tracker.see(inputs)
        try:
            return (_training if training else _inference)(module, inputs, tracker)
        except UserError:
            raise
        except Exception as error:
            shapes = ", ".join(str(tuple(tensor.shape)) for tensor in inputs)
            raise UserError(
                f"the memory of {type(source).__name__} cannot be modelled on an input of shape {shapes}: "
                f"{type(error).__name__}: {first_line(error)}"
            ) from error
        finally:
            tracker.close()


@contextmanager
def _deterministic() -> Iterator[None]:
    """Disables automatic garbage collection, which would release storages at random times, and fused encoder layers."""
    collecting, fast = gc.isenabled(), torch.backends.mha.get_fastpath_enabled()
    gc.collect()
    gc.disable()
    torch.backends.mha.set_fastpath_enabled(value=False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        if collecting:
            gc.enable()


def _inference(module: nn.Module, inputs: tuple[Tensor, ...], tracker: StorageTracker) -> MemoryPeak:
    with torch.no_grad(), tracker:
        module(*inputs)
    return tracker.peak()


def _training(module: nn.Module, inputs: tuple[Tensor, ...], tracker: StorageTracker) -> MemoryPeak:
    """The peak of the second step, because the first one creates the optimiser's state."""
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if not parameters:
        raise UserError(f"{type(module).__name__} cannot be trained: no parameter requires a gradient")
    labels = labels_of(module, inputs)
    optimizer = adamw(module, TrainConfig())
    since = 0
    for _ in range(2):
        since = len(tracker.events)
        with tracker:
            tracker.see(labels)
            loss = loss_of(scores_of(module(*inputs)), labels)
            tracker.part = "workspace"
            loss.backward()
            tracker.claim("gradients", (parameter.grad for parameter in parameters))
            optimizer.step()
            tracker.claim("optimizer", optimizer_state(optimizer))
            optimizer.zero_grad()
            tracker.part = "activations"
            del loss
    return tracker.peak(since)


def optimizer_state(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(list(optimizer.state.values())) if isinstance(leaf, Tensor)]


def scores_of(out: Any) -> list[Tensor]:
    """The scores (batch, classes, ...) of all heads in the output."""
    scores = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor) and leaf.requires_grad]
    if not scores or any(score.ndim < 2 for score in scores):
        raise UserError(
            "a training step needs scores (batch, classes, ...) that depend on the parameters; this model outputs "
            f"{', '.join(str(tuple(score.shape)) for score in scores) or 'none'}"
        )
    return scores


def labels_of(module: nn.Module, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    """Labels (zeros) for every score; their shapes follow from the output."""
    return [torch.zeros(s.shape[0], *s.shape[2:], dtype=torch.long) for s in scores_of(module(*inputs))]


def loss_of(scores: list[Tensor], labels: list[Tensor]) -> Tensor:
    return torch.stack([F.cross_entropy(s, y) for s, y in zip(scores, labels, strict=True)]).sum()
