"""Steps of a model under torch.profiler, with a range around each part, block and phase; the trace goes to a folder."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vitbench.devices import device_of
from vitbench.measure.timing.subject import Mode, SubjectError, blame, check
from vitbench.measure.tracing.attribution import MODULE, Part
from vitbench.measure.tracing.parts import blocks_of, parts_of
from vitbench.train.loss import cross_entropy
from vitbench.utils.errors import UserError

WORKER = "vitbench"
WARM_UP = 3
_OURS = re.compile(rf"{WORKER}\.\d+\.pt\.trace\.json")

Call = Callable[[], Any]


@dataclass(frozen=True)
class Recorded:
    """A trace on disk, and what it is divided by."""

    path: Path
    parts: Mapping[str, Part]
    """Dotted path of a module → its part."""
    blocks: Mapping[str, str]
    """Dotted path of a repeated module → the block or stage it is shown as."""
    held: int
    """Bytes that were there before the first recorded step: model, images, state of the optimiser."""


def record(
    name: str,
    model: nn.Module,
    images: Tensor,
    *,
    folder: Path,
    mode: Mode = "forward",
    steps: int = 5,
    device: str = "cpu",
    progress: Callable[[str], None] = lambda _: None,
) -> Recorded:
    """Runs the model under torch.profiler, after calls without it. The model is left trained or as it was.

    Raises:
        SubjectError: the model raises, or puts out NaN.
        UserError: the folder cannot be written.
    """
    model.train(mode == "train_step")
    parts, blocks = parts_of(model), blocks_of(model)
    optimizer = _optimizer(name, model) if mode == "train_step" else None
    step = _forward(model, images) if optimizer is None else _train_step(name, model, images, optimizer)
    progress("calls without the profiler")
    for _ in range(WARM_UP):
        check(name, step)
    held = _bytes(model, images, optimizer)
    folder = _made(folder)
    earlier = [path for path in folder.iterdir() if _OURS.fullmatch(path.name)]
    progress("recording")
    with blame(name), _ranges(model, {*parts, *blocks}):
        _record(step, steps, folder, device)
    for path in earlier:
        path.unlink()
    (written,) = (path for path in folder.iterdir() if _OURS.fullmatch(path.name))
    return Recorded(written, parts, blocks, held)


def _record(step: Call, steps: int, folder: Path, device: str) -> None:
    from torch.profiler import ProfilerActivity, schedule, tensorboard_trace_handler

    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    cuda = torch.device(device).type == "cuda"
    with torch.profiler.profile(
        activities=[ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * cuda],
        schedule=schedule(wait=0, warmup=1, active=steps, repeat=1),
        on_trace_ready=tensorboard_trace_handler(str(folder), worker_name=WORKER),
        record_shapes=True,
        profile_memory=True,
    ) as profiler:
        for _ in range(1 + steps):
            step()
            device_of(device).synchronize()
            profiler.step()


def _forward(model: nn.Module, images: Tensor) -> Call:
    def step() -> Any:
        with torch.inference_mode(), torch.profiler.record_function("forward"):
            return model(images)

    return step


def _optimizer(name: str, model: nn.Module) -> torch.optim.Optimizer:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trained:
        raise SubjectError(name, "it has no parameters to train")
    return torch.optim.AdamW(trained, lr=1e-4)


def _train_step(name: str, model: nn.Module, images: Tensor, optimizer: torch.optim.Optimizer) -> Call:
    """As a training step is timed, with a range around each phase."""
    with blame(name), torch.no_grad():
        out = model(images)
    logits = out[0] if isinstance(out, tuple) and out else out
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        raise SubjectError(name, "a training step takes a model that returns logits of (batch, classes)")
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(logits.shape[1], (logits.shape[0],), generator=generator).to(logits.device)
    phase = torch.profiler.record_function

    def step() -> Tensor:
        with phase("forward"):
            outputs = model(images)
        with phase("loss"):
            loss = cross_entropy(outputs, labels)
        with phase("backward"):
            torch.autograd.backward(loss)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    return step


@contextlib.contextmanager
def _ranges(model: nn.Module, paths: set[str]) -> Iterator[None]:
    """Inside, each call of these modules is a range in the trace.

    No hooks: torch's encoder layers would leave their fused kernels aside where they see one.
    """
    wrapped: list[tuple[nn.Module, Any]] = []
    try:
        for path, module in model.named_modules():
            if path in paths and not isinstance(module, torch.jit.ScriptModule):
                wrapped.append((module, vars(module).get("forward")))
                module.forward = _ranged(f"{MODULE}{path}", module.forward)
        yield
    finally:
        for module, own in wrapped:
            del module.forward
            if own is not None:
                module.forward = own


def _ranged(name: str, forward: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        with torch.profiler.record_function(name):
            return forward(*args, **kwargs)

    return call


def _bytes(model: nn.Module, images: Tensor, optimizer: torch.optim.Optimizer | None) -> int:
    """In all storages, each once."""
    tensors = [*model.parameters(), *model.buffers(), images]
    if optimizer is not None:
        tensors += [v for state in optimizer.state.values() for v in state.values() if isinstance(v, Tensor)]
    storages = {tensor.untyped_storage()._cdata: tensor.untyped_storage().nbytes() for tensor in tensors}  # noqa: SLF001
    return sum(storages.values())


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder} cannot be made: {error.strerror or error}; name another with --out DIR") from error
    if not os.access(folder, os.W_OK):
        raise UserError(f"{folder} cannot be written: name another with --out DIR")
    return folder
