"""Bytes that torch's CPU allocator hands out at a step's peak: what its own profiler sees of a real step.

What is held before the step (parameters, images, labels, the optimiser's state) is known; on top come the profiler's
``[memory]`` events, summed as they come. The peak exceeds the modelled one by what kernels allocate inside themselves:
nothing on the ViTs tried, 0.3 to 3 % on ResNet-18 and 50. What oneDNN or MKL take past torch's allocator is not in it.
Example: ViT-Ti/16 at 224 px and batch 8, a training step: 299.2 MiB, as modelled.
"""

from __future__ import annotations

import os

import torch

from vitbench.measure.peak_memory.real_step import RealStep


def allocated(step: RealStep) -> int:
    """The peak in bytes of one step after a warm-up, on the CPU.

    Raises:
        Whatever the step raises.
    """
    step.warm_up()
    now = top = step.held_bytes()
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # it announces each start on stderr otherwise
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        step.run()
    results = profile.profiler.kineto_results if profile.profiler is not None else None
    for event in results.events() if results is not None else ():
        if event.name() == "[memory]":
            now += event.nbytes()
            top = max(top, now)
    return top
