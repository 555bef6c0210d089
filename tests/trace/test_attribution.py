"""The part, block and phase of each event: trees of events whose times are worked out by hand."""

import pytest
from torch.autograd import DeviceType
from torch.autograd.profiler_util import EventList, FunctionEvent

from vitbench.trace.attribution import PYTHON, UNLINKED, Owner, attribute
from vitbench.utils.errors import UserError

OWNERS = {
    "blocks.0": Owner(None, "blocks.0"),
    "blocks.0.attn": Owner("attention", "blocks.0"),
    "blocks.0.mlp": Owner("mlp", "blocks.0"),
    "blocks.0.mlp.norm": Owner("norm", "blocks.0"),
}
BACKWARD = "autograd::engine::evaluate_function: "
STEP = "ProfilerStep*"


def op(name, start, end, *, thread=1, number=-1, of=0, kernels=(), **rest):
    """An operation from ``start`` to ``end`` (us); ``of`` is the thread of the forward operation."""
    event = FunctionEvent(0, name, thread, start, end, sequence_nr=number, fwd_thread=of, **rest)
    for kernel, duration in kernels:
        event.append_kernel(kernel, 0, duration)
    return event


def span(name, start, end, **rest):
    return op(name, start, end, is_user_annotation=True, **rest)


def kernel(name, start, end, **rest):
    return op(name, start, end, thread=7, device_type=DeviceType.CUDA, **rest)


def attributed(*events, gpu=False):
    tree = EventList(events)
    tree._build_tree()
    return attribute(tree, OWNERS, gpu=gpu)


def us(times, by):
    """Microseconds of each group that took any."""
    sums = times.groupby(by, dropna=False)["ms"].sum() * 1e3
    return {name if name == name else None: pytest.approx(value) for name, value in sums.items() if value > 1e-9}  # noqa: PLR0124  # NaN


FORWARD = [
    span(STEP, 0, 100),
    span("forward", 2, 92),
    span("module blocks.0", 10, 80),
    span("module blocks.0.attn", 20, 50),
    op("aten::addmm", 25, 45),
    op("aten::copy_", 30, 35),
    span("module blocks.0.mlp", 50, 70),
    span("module blocks.0.mlp.norm", 52, 55),
    op("aten::conv2d", 56, 66),
    op("aten::convolution", 57, 66),
    op("aten::mkldnn_convolution", 58, 66),
    span("loss", 60, 65),  # a range of the model's own
]


def test_a_forward_pass_is_divided_by_the_innermost_module():
    times = attributed(*FORWARD)
    assert us(times, "part") == {"attention": 30, "mlp": 17, "norm": 3, "other": 50}
    assert us(times, "block") == {"blocks.0": 70, None: 30}
    assert us(times, "phase") == {"forward": 90, "other": 10}
    assert us(times, "operation") == {
        "aten::addmm": 15, "aten::copy_": 5, "aten::conv2d": 1, "aten::convolution": 4, PYTHON: 75
    }  # fmt: skip
    assert times[times["call"]]["operation"].value_counts()["aten::convolution"] == 1


def test_gradients_belong_to_the_module_of_their_forward_operation():
    times = attributed(
        span(STEP, 0, 100),
        span("forward", 0, 40),
        span("module blocks.0.attn", 0, 20),
        op("aten::linear", 1, 10, number=7),
        op("aten::t", 1, 3, number=7),
        op("aten::addmm", 3, 10, number=8),
        span("module blocks.0.mlp", 20, 40),
        op("aten::empty", 21, 22, number=9),  # has no gradient, so the next operation has the same number
        op("aten::gelu", 22, 40, number=9),
        span("loss", 40, 50),
        op("aten::cross_entropy_loss", 40, 50, number=10),
        span("backward", 50, 90),
        op(BACKWARD + "LossBackward", 50, 60, number=10, of=1),
        op(BACKWARD + "GeluBackward0", 60, 70, number=9, of=1),
        op("aten::gelu_backward", 61, 69),
        op(BACKWARD + "AddmmBackward0", 70, 80, number=8, of=1),
        op(BACKWARD + "torch::autograd::AccumulateGrad", 80, 90),
        span("Optimizer.step#AdamW.step", 90, 98),
        op("aten::mul_", 91, 98),
    )
    assert us(times, "part") == {"attention": 30, "mlp": 30, "loss": 20, "optimizer": 8, "other": 12}
    assert us(times, "phase") == {"forward": 40, "loss": 10, "backward": 40, "optimizer": 8, "other": 2}
    assert us(times[times["phase"] == "backward"], "block") == {"blocks.0": 20, None: 20}


def test_only_the_recorded_steps_count():
    times = attributed(
        span(STEP, 20, 40), op("aten::mul", 12, 18), op("aten::mul", 21, 39, thread=2), span(STEP, 0, 10)
    )
    assert us(times, "step") == {0: 10, 1: 20}


def test_on_a_gpu_its_own_time_is_divided_by_what_launched_it():
    gpu = {"use_device": "cuda"}
    times = attributed(
        span(STEP, 0, 1000, **gpu),
        span("forward", 0, 900, kernels=[("forward", 400)], **gpu),
        span("module blocks.0.attn", 10, 300, **gpu),
        op("aten::addmm", 20, 60, number=3, kernels=[("gemm", 100), ("splitKreduce", 10)], **gpu),
        op(BACKWARD + "AddmmBackward0", 500, 560, thread=2, number=3, of=1, **gpu),
        op("aten::mm", 510, 550, thread=2, kernels=[("gemm", 30)], **gpu),
        kernel("forward", 0, 600, is_user_annotation=True),
        kernel("gemm", 70, 170),
        kernel("splitKreduce", 170, 180),
        kernel("gemm", 515, 545),
        kernel("mystery", 600, 660),
        gpu=True,
    )
    assert us(times, "part") == {"attention": 140, "other": 60}
    assert us(times, "phase") == {"forward": 110, "backward": 30, "other": 60}
    assert us(times, "operation") == {"aten::addmm": 110, "aten::mm": 30, UNLINKED: 60}


def test_a_trace_without_steps_or_without_the_gpus_events_is_refused():
    with pytest.raises(UserError, match="no step"):
        attributed(op("aten::mul", 0, 1))
    annotation = kernel("forward", 0, 6, is_user_annotation=True)
    with pytest.raises(UserError, match="nothing on the GPU"):
        attributed(span(STEP, 0, 10), op("aten::mul", 1, 9), annotation, gpu=True)
