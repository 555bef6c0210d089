"""Peak memory that torch's CPU allocator hands out in a real step, from torch's profiler.

The bytes held before the step (parameters, images, labels, optimiser state) are known; the profiler's ``[memory]``
events are added to them in order. The peak exceeds the modelled one by the workspaces of kernels: nothing on the ViTs
tried, 0.3 to 3 % on ResNet-18 and 50. Memory that oneDNN or MKL allocate directly is not included. Example: a training
step of ViT-Ti/16 at 224 px and batch 8 takes 299.2 MiB, as modelled.
"""

from __future__ import annotations

import os

import torch

from vitbench.measure.peak_memory.real_step import RealStep


def allocated(step: RealStep) -> int:
    """The peak memory of one step after a warm-up, in bytes, on the CPU; exceptions of the step pass through."""
    step.warm_up()
    current = peak = step.held_bytes()
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # otherwise it prints each start on stderr
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        step.run()
    results = profile.profiler.kineto_results if profile.profiler is not None else None
    for event in results.events() if results is not None else ():
        if event.name() == "[memory]":
            current += event.nbytes()
            peak = max(peak, current)
    return peak
