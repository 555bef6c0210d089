"""Meta copies: a model's structure, shapes and layout without its data, and without changing the original."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from vitbench.declare.families import config_names, family_of
from vitbench.declare.model import ModelConfig
from vitbench.declare.sizes import as_pair
from vitbench.models import build
from vitbench.utils.errors import UserError, choices

ModelLike: TypeAlias = nn.Module | ModelConfig
Example: TypeAlias = Tensor | tuple[Tensor, ...]
"""The input of a model; the first dimension of each tensor is the batch."""


def module_of(model_or_config: ModelLike) -> nn.Module:
    """The module itself, or the config's: on ``meta`` if its family can be built there, else with its data.

    The state of the random generators does not change.

    Raises:
        UserError: neither a module nor a config, a config of no registered family, or a model that cannot be built.
    """
    if isinstance(model_or_config, nn.Module):
        return model_or_config
    if not isinstance(model_or_config, ModelConfig):
        raise UserError(
            f"{model_or_config!r} is neither a module nor a config: give an nn.Module, or a config: "
            f"{choices(config_names())}"
        )
    on_meta = family_of(model_or_config).builds_on_meta
    with torch.random.fork_rng(devices=()), torch.device("meta") if on_meta else contextlib.nullcontext():
        return build(model_or_config)


def arguments(model_or_config: ModelLike, example: Example | None, batch_size: int, device: str) -> tuple[Tensor, ...]:
    """The input of a model for ``batch_size`` images: zeros, or tensors without data on ``meta``.

    Raises:
        UserError: a module without an example, an example that is not a tensor, or an empty batch.
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
            f"the input of {type(model_or_config).__name__} is unknown: give example=, "
            "such as example=torch.zeros(1, 3, 224, 224)"
        )
    height, width = as_pair(model_or_config.img_size)
    return (torch.zeros(batch_size, model_or_config.in_chans, height, width, device=device),)


def meta_copy(module: nn.Module, device: str = "meta") -> nn.Module:
    """A copy whose tensors have a size and no bytes: on ``meta``, or on any device under ``FakeTensorMode``.

    Raises:
        UserError: the module holds something that cannot be copied.
    """
    return copied(module, _WithoutData(device))


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
    """A tensor on the CPU whose elements are all the same zero: kernels run on it, and it takes no memory."""
    return torch.zeros((), dtype=tensor.dtype).expand(tensor.shape)


class _WithoutData:
    """Converts to tensors without data on a device; those that share a storage in the original share one here too."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.storages: dict[int, Tensor] = {}

    def __call__(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        key = storage._cdata  # noqa: SLF001  # the only identity of a storage that its tensors share
        if key not in self.storages:
            self.storages[key] = torch.empty(storage.nbytes(), dtype=torch.uint8, device=self.device)
        return self.storages[key].view(tensor.dtype).as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())
