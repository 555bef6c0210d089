"""Steps of a model under torch.profiler, with a range around each phase and each module that is a part or a block."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, record_function

from vitbench.declare.measure import MeasureConfig
from vitbench.declare.model import ModelConfig
from vitbench.declare.sizes import as_pair
from vitbench.devices.cuda import Cuda
from vitbench.measure.prepare import prepared
from vitbench.measure.timing.subject import Mode, SubjectError, as_subject_error, check
from vitbench.measure.timing.train_step import Step
from vitbench.trace.attribution import CPU, MODULE, Owner
from vitbench.trace.model_parts import owners_of
from vitbench.trace.operation_flops import counted_flops, flops_by_operation
from vitbench.train.loss import cross_entropy
from vitbench.utils.errors import UserError
from vitbench.utils.threads import torch_threads

FILES = "vitbench.[0-9]*.pt.trace.json"
WARM_UP = 2
"""Steps before one that counts FLOPs and one that warms up the profiler."""


@dataclass(frozen=True)
class Recording:
    """The recorded steps of a model."""

    model: str
    scope: Mapping[str, Any]
    """The settings that the numbers apply to."""
    file: Path
    """The trace, for TensorBoard."""
    events: Sequence[Any]
    """As ``torch.profiler.profile.events()`` returns them; times in microseconds."""
    allocations: Sequence[tuple[float, int]]
    """Time in microseconds, and bytes: above 0 an allocation, below 0 a release."""
    held: int
    """Bytes of model, images and optimizer state, allocated before the first step."""
    owners: Mapping[str, Owner]
    """Dotted path of a module → its part and block."""
    flops: Mapping[str, int] | None
    """Operation → FLOPs in a step, by torch's counter."""
    flops_counted: int | None
    """FLOPs of a step, by ``vitbench.measure.count``."""


def record(
    name: str,
    config: ModelConfig,
    settings: MeasureConfig,
    *,
    folder: Path,
    mode: Mode = "forward",
    steps: int = 5,
    device: str = "cpu",
    progress: Callable[[str], None] = lambda _: None,
) -> Recording:
    """Runs a model under torch.profiler and writes the trace to ``folder``, in place of an earlier one.

    Args:
        name: of the model, in messages and in the summary.
        config: of the model.
        settings: batch size, dtype and threads.
        folder: is made if it does not exist.
        mode: a forward pass in evaluation mode, or a training step: forward, cross-entropy, backward, AdamW.
        steps: number of recorded steps.
        device: ``cpu`` or ``cuda``.
        progress: is called with the name of each stage.

    Raises:
        UserError: the model cannot be built, raises, or returns NaN; or the folder cannot be written.
    """
    if steps < 1:
        raise UserError(f"steps={steps} is too small: it takes 1 or more")
    training, cuda = mode == "train_step", device == "cuda"
    try:
        with torch_threads(settings.threads), as_subject_error(name):
            progress("building")
            model, images = prepared(config, settings, device=device, training=training)
            model.train(training)
            step = _TrainStep(model, model, images, 0, time.perf_counter) if training else _forward(model, images)
            progress("steps without the profiler")
            for _ in range(WARM_UP):
                check(name, step)
            flops = flops_by_operation(step)
            held = Cuda(device).allocated_memory() if cuda else _bytes(model, images, step)
            owners = owners_of(model)
            _add_ranges(model, owners)
            progress("recording")
            profiler, file = _run(step, steps, folder, cuda=cuda)
    except SubjectError as error:
        cause = error.__cause__
        said = str(cause) if isinstance(cause, UserError) else f"{name} cannot be traced: {error.reason}"
        raise UserError(said) from error
    progress("reading the trace")
    scope = {
        "mode": mode,
        "batch_size": settings.batch_size,
        "img_size": "x".join(str(side) for side in as_pair(config.img_size)),
        "dtype": settings.dtype,
        "device": device,
        "threads": settings.threads,
        "torch": torch.__version__,
    }
    counted = counted_flops(config, settings.batch_size, training=training)
    allocations = _allocations(profiler, cuda=cuda)
    return Recording(name, scope, file, profiler.events(), allocations, held, owners, flops, counted)


def _forward(model: nn.Module, images: Tensor) -> Callable[[], Any]:
    def step() -> Any:
        with torch.inference_mode(), record_function("forward"):
            return model(images)

    return step


class _TrainStep(Step):
    """The training step that is timed elsewhere, with a range around each phase."""

    def __call__(self) -> Tensor:
        with record_function("forward"):
            outputs = self.model(self.images)
        with record_function("loss"):
            loss = cross_entropy(outputs, self._targets(outputs))
        with record_function("backward"):
            torch.autograd.backward(loss)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.detach()


def _add_ranges(model: nn.Module, paths: Mapping[str, Owner]) -> None:
    """Makes each call of these modules a range in the trace.

    Forward hooks would do the same, but torch's encoder layers do not use their fused kernels under hooks.
    """
    for path, module in model.named_modules():
        if path in paths and not isinstance(module, torch.jit.ScriptModule):
            module.forward = record_function(f"{MODULE}{path}")(module.forward)


def _bytes(model: nn.Module, images: Tensor, step: Callable[[], Any]) -> int:
    """Bytes in all storages, each once."""
    tensors = [*model.parameters(), *model.buffers(), images]
    if isinstance(step, Step):
        tensors += [v for state in step.optimizer.state.values() for v in state.values() if isinstance(v, Tensor)]
    return sum({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}.values())


def _run(step: Callable[[], Any], steps: int, folder: Path, *, cuda: bool) -> tuple[Any, Path]:
    """The finished profiler, and the trace that it wrote."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder} cannot be made: {error.strerror or error}; name another with --out DIR") from error
    if not os.access(folder, os.W_OK):
        raise UserError(f"{folder} cannot be written: name another with --out DIR")
    earlier = set(folder.glob(FILES))
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else it writes to the terminal
    with torch.profiler.profile(
        activities=[ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * cuda],
        schedule=torch.profiler.schedule(wait=0, warmup=1, active=steps, repeat=1),
        on_trace_ready=torch.profiler.tensorboard_trace_handler(str(folder), worker_name=FILES.partition(".")[0]),
        record_shapes=True,
        profile_memory=True,
    ) as profiler:
        for _ in range(1 + steps):
            step()
            if cuda:
                Cuda("cuda").synchronize()
            profiler.step()
    (file,) = set(folder.glob(FILES)) - earlier
    for path in earlier:
        path.unlink()
    return profiler, file


def _allocations(profiler: Any, *, cuda: bool) -> list[tuple[float, int]]:
    results = profiler.profiler.kineto_results
    return [
        ((event.start_ns() - results.trace_start_ns()) / 1e3, event.nbytes())
        for event in results.events()
        if event.name() == "[memory]" and (event.device_type() != CPU) == cuda
    ]
