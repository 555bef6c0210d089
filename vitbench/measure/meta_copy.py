"""Models without their data: structure, shapes and layout at no cost in memory, and the original left alone."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from vitbench.declare.external import ExternalConfig
from vitbench.declare.model import ModelConfig
from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.sizes import as_pair
from vitbench.declare.vit import ViTConfig
from vitbench.models import build
from vitbench.utils.errors import UserError

ModelLike: TypeAlias = nn.Module | ModelConfig
Example: TypeAlias = Tensor | tuple[Tensor, ...]
"""What the model is called with; the first dimension of each tensor is the batch."""


def module_of(model_or_config: ModelLike) -> nn.Module:
    """The module itself, or the config's: ours on ``meta``, somebody else's with its data.

    (Few constructors of other people bear ``meta``.) The state of the random generators does not change.

    Raises:
        UserError: neither a module nor a config, or an external model that cannot be built.
    """
    match model_or_config:
        case nn.Module():
            return model_or_config
        case ViTConfig() | ResNetConfig():
            with torch.random.fork_rng(devices=()), torch.device("meta"):
                return build(model_or_config)
        case ExternalConfig():
            with torch.random.fork_rng(devices=()):
                return build(model_or_config)
    raise UserError(
        f"{model_or_config!r} is neither a module nor a config: give an nn.Module, ViTConfig, ResNetConfig or "
        "ExternalConfig"
    )


def arguments(model_or_config: ModelLike, example: Example | None, batch_size: int, device: str) -> tuple[Tensor, ...]:
    """What the model is called with, for ``batch_size`` images: zeros, or nothing at all on ``meta``.

    Raises:
        UserError: a module without an example, an example that is none, or a batch of none.
    """
    if batch_size < 1:
        raise UserError(f"batch_size={batch_size} is too small: it takes 1 or more")
    if example is not None:
        given: tuple[Any, ...] = example if isinstance(example, tuple) else (example,)
        if not given or not all(isinstance(tensor, Tensor) and tensor.ndim for tensor in given):
            raise UserError("an example is a tensor, or several in a tuple, with the batch as first dimension")
        return tuple(torch.zeros(batch_size, *t.shape[1:], dtype=t.dtype, device=device) for t in given)
    if isinstance(model_or_config, nn.Module):
        raise UserError(
            f"nothing says what {type(model_or_config).__name__} is called with: give example=, "
            "such as example=torch.zeros(1, 3, 224, 224)"
        )
    height, width = as_pair(model_or_config.img_size)
    return (torch.zeros(batch_size, model_or_config.in_chans, height, width, device=device),)


def copied(module: nn.Module, convert: Callable[[Tensor], Tensor]) -> nn.Module:
    """A deep copy with every tensor (parameter, buffer or plain attribute) converted; tied ones stay tied.

    Raises:
        UserError: the module holds something that cannot be copied.
    """
    memo: dict[int, Any] = {}
    try:
        with torch.no_grad(), _Converting(convert):
            for parameter in module.parameters():
                memo[id(parameter)] = nn.Parameter(convert(parameter), requires_grad=parameter.requires_grad)
            return copy.deepcopy(module, memo)
    except (TypeError, RuntimeError, ValueError) as error:
        raise UserError(f"{type(module).__name__} cannot be copied to be measured without its data: {error}") from error


class _Converting(TorchFunctionMode):
    """Stands in for ``Tensor.__deepcopy__``, which would copy the data."""

    def __init__(self, convert: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.convert = convert

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not Tensor.__deepcopy__:
            return func(*args, **(kwargs or {}))
        tensor, memo = args
        if id(tensor) not in memo:
            memo[id(tensor)] = self.convert(tensor).requires_grad_(tensor.requires_grad)
        return memo[id(tensor)]


def one_element(tensor: Tensor) -> Tensor:
    """All elements are one zero on the CPU: kernels run on it, and it takes no memory."""
    return torch.zeros((), dtype=tensor.dtype).expand(tensor.shape)


class Shells:
    """Converts to tensors without content on a device, which share storages as the originals do.

    For ``meta``, and for any device under ``FakeTensorMode``: storages there have a size and no bytes.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self.storages: dict[int, Tensor] = {}

    def __call__(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        key = storage._cdata  # noqa: SLF001  # the one name by which two tensors know their common storage
        if key not in self.storages:
            self.storages[key] = torch.empty(storage.nbytes(), dtype=torch.uint8, device=self.device)
        return self.storages[key].view(tensor.dtype).as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())
