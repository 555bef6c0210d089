"""A model's steps under torch.profiler: the trace for TensorBoard, and our own summary of it.

Recording costs time in every operation, most where operations are small: shares say where time goes, and no time in
here is the model's latency (``vitbench.measure`` has that). What it leaves out: loading the images, and what a kernel
does inside itself.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from vitbench.declare.measure import MeasureConfig
from vitbench.declare.model import ModelConfig
from vitbench.declare.sizes import as_pair
from vitbench.measure.counts.flops import count
from vitbench.measure.prepare import prepared
from vitbench.measure.timing.subject import Mode, SubjectError, blame
from vitbench.measure.tracing.attribution import attribute
from vitbench.measure.tracing.chrome_trace import load
from vitbench.measure.tracing.memory import memory_of
from vitbench.measure.tracing.recording import record
from vitbench.measure.tracing.summary import Summary, summarise
from vitbench.utils.errors import UserError
from vitbench.utils.threads import torch_threads


def profile(
    name: str,
    config: ModelConfig,
    settings: MeasureConfig,
    *,
    folder: Path,
    mode: Mode = "forward",
    steps: int = 5,
    device: str = "cpu",
    progress: Callable[[str], None] = lambda _: None,
) -> Summary:
    """Records steps of a model, writes the trace to ``folder`` and sums it up.

    Args:
        name: what the model is called in the summary.
        config: of the model.
        settings: batch size, dtype and threads.
        folder: is made if need be; a trace that stands there from before is replaced.
        mode: a forward pass in evaluation mode, or a training step: forward, cross-entropy, backward, AdamW.
        steps: how many are recorded.
        device: ``cpu`` or ``cuda``.
        progress: told what comes next.

    Raises:
        UserError: the model cannot be built, raises, or puts out NaN; or the folder cannot be written.
    """
    if steps < 1:
        raise UserError(f"steps={steps} is too small: it takes 1 or more")
    try:
        with torch_threads(settings.threads), blame(name):
            progress("building")
            pair = prepared(config, settings, device=device, training=mode == "train_step")
            recorded = record(name, *pair, folder=folder, mode=mode, steps=steps, device=device, progress=progress)
    except SubjectError as error:
        cause = error.__cause__
        said = str(cause) if isinstance(cause, UserError) else f"{name} cannot be traced: {error.reason}"
        raise UserError(said) from error
    progress("reading the trace")
    trace = load(recorded.path)
    counted: int | None = None
    why = None
    try:
        costs = count(config)
    except UserError as error:
        why = str(error)
    else:
        backward = costs.flops_backward if mode == "train_step" else 0
        if backward is None:
            why = "the backward pass cannot be counted"
        else:
            counted = settings.batch_size * (costs.flops + backward)
    scope = {
        "mode": mode,
        "batch_size": settings.batch_size,
        "img_size": "x".join(str(side) for side in as_pair(config.img_size)),
        "dtype": settings.dtype,
        "device": device,
        "threads": settings.threads,
        "torch": torch.__version__,
    }
    return summarise(
        attribute(trace, recorded.parts, recorded.blocks),
        trace,
        model=name,
        scope=scope,
        blocks=recorded.blocks,
        memory=memory_of(trace, recorded.held),
        counted=counted,
        not_counted=why,
        file=recorded.path.name,
    )
