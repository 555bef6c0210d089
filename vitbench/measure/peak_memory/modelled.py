"""The peak of memory that a model's tensors need, modelled without allocating them.

The forward pass (or a whole training step) runs on fake tensors of the CPU, which have sizes and no bytes, while a
tracker notes when each storage is born and dies. The result is a property of model, batch and step: it does not
depend on the machine, its load or its allocator, and repeats to the byte. Left out are the workspaces inside kernels
and the allocator's rounding: nothing on the ViTs tried (equal to the allocator's peak to the byte), 0.3 to 3 % on
ResNet-18 and 50, up to 17 % on tiny ones, whose CPU convolutions reorder their input first.
Example: ViT-B/16 at 224 px and batch 1 needs 335 MiB for one image, 330 of them parameters.
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
import torch.nn.functional as F  # noqa: N812  # the name everybody gives it
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from vitbench.declare.train import TrainConfig
from vitbench.measure.meta_copy import Example, ModelLike, arguments, meta_copy, module_of
from vitbench.train.optimizer import adamw
from vitbench.utils.errors import UserError

Part: TypeAlias = Literal["parameters", "gradients", "optimizer", "activations", "workspace"]
PARTS: tuple[Part, ...] = get_args(Part)


@dataclass(frozen=True)
class MemoryPeak:
    """Bytes in all storages at the moment of the peak, and how they divide up then."""

    bytes: int
    parameters: int
    """Parameters and buffers: the model's state."""
    gradients: int
    """Of parameters."""
    optimizer: int
    """Its state."""
    activations: int
    """The batch, and what is born in the forward pass."""
    workspace: int
    """What else is born in the backward pass (gradients of activations, layers run again) or the optimiser's step."""


class StorageTracker(TorchDispatchMode):
    """Notes birth and death of every storage that an operation puts out, once each, however many tensors view it.

    It works on real tensors too. A storage belongs to ``part`` as that stands at its birth, until ``claim`` gives it
    to another one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.part: Part = "activations"
        self.events: list[tuple[int, int]] = []  # (number of a storage, bytes that come or go)
        self.parts: list[Part] = []  # by number
        self._living: dict[int, int] = {}  # address of a storage → its number
        self._finalizers: list[weakref.finalize[Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.see(out)
        return out

    def see(self, tensors: Any) -> None:
        """Counts the storages of all tensors in a nest of tuples, lists and dicts from now on."""
        for tensor in tree_leaves(tensors):
            if isinstance(tensor, Tensor):
                self._number(tensor)

    def claim(self, part: Part, tensors: Iterable[Tensor | None]) -> None:
        """These tensors' storages have been of this part since their birth."""
        for tensor in tensors:
            if tensor is not None:
                self.parts[self._number(tensor)] = part

    def peak(self, since: int = 0) -> MemoryPeak:
        """The largest sum over the events from number ``since`` on, the first of equals."""
        now: dict[Part, int] = dict.fromkeys(PARTS, 0)
        top, total = dict(now), 0
        for index, (number, size) in enumerate(self.events):
            now[self.parts[number]] += size
            total += size
            if index >= since - 1 and total > sum(top.values()):
                top = dict(now)
        return MemoryPeak(bytes=sum(top.values()), **top)

    def _number(self, tensor: Tensor) -> int:
        storage = tensor.untyped_storage()
        address = storage._cdata  # noqa: SLF001  # unique among the living, and the end of life is seen
        if address not in self._living:
            number, size = len(self.parts), storage.nbytes()
            self._living[address] = number
            self.parts.append(self.part)
            self.events.append((number, size))
            self._finalizers.append(weakref.finalize(storage, self._end, address, number, size))
        return self._living[address]

    def _end(self, address: int, number: int, size: int) -> None:
        del self._living[address]
        self.events.append((number, -size))

    def close(self) -> None:
        """Forgets the storages that are still alive."""
        for finalizer in self._finalizers:
            finalizer.detach()


def memory(
    model_or_config: ModelLike, batch_size: int = 1, training: bool = False, example: Example | None = None
) -> MemoryPeak:
    """The modelled peak of one forward pass, or of a training step once the optimiser has its state.

    A training step is the forward pass in training mode, cross-entropy, the backward pass, and the recipe's AdamW. All
    is as on the CPU in the tensors' own dtype. ``nn.TransformerEncoderLayer`` is modelled without its fused inference
    kernel, which hides what it allocates.

    Args:
        model_or_config: a config, or a module in whichever mode, which is not changed.
        batch_size: images at once; it replaces the batch of the example.
        training: a training step instead of an inference.
        example: what a module is called with, a tensor or a tuple of them with the batch as first dimension.

    Raises:
        UserError: the model cannot be built, does not run on such an example, decides by values that fake tensors do
            not have, or, for training, does not put out scores (batch, classes, ...).
    """
    source = module_of(model_or_config)
    tracker = StorageTracker()
    with FakeTensorMode(), _orderly():
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
                f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
            ) from error
        finally:
            tracker.close()


@contextmanager
def _orderly() -> Iterator[None]:
    """No garbage collection at a moment of its own choosing, and no fused encoder layer."""
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
    """The peak of the second step: the first one makes the optimiser's state."""
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if not parameters:
        raise UserError(f"{type(module).__name__} has nothing to train: no parameter requires a gradient")
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
            tracker.claim("optimizer", held_by(optimizer))
            optimizer.zero_grad()
            tracker.part = "activations"
            del loss
    return tracker.peak(since)


def held_by(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Its state."""
    return [leaf for leaf in tree_leaves(list(optimizer.state.values())) if isinstance(leaf, Tensor)]


def scores_of(out: Any) -> list[Tensor]:
    """All scores of the output; several heads are trained alike."""
    scores = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor) and leaf.requires_grad]
    if not scores or any(score.ndim < 2 for score in scores):
        raise UserError(
            "a training step needs scores (batch, classes, ...) that depend on the parameters; this model outputs "
            f"{', '.join(str(tuple(score.shape)) for score in scores) or 'none'}"
        )
    return scores


def labels_of(module: nn.Module, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    """A class for every score; their number is known from the output alone."""
    return [torch.zeros(s.shape[0], *s.shape[2:], dtype=torch.long) for s in scores_of(module(*inputs))]


def loss_of(scores: list[Tensor], labels: list[Tensor]) -> Tensor:
    return torch.stack([F.cross_entropy(s, y) for s, y in zip(scores, labels, strict=True)]).sum()
