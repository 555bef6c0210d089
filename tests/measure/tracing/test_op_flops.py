"""FLOPs of recorded operations against torch's own counter on the meta device."""

import json

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  # the name everybody gives it
from torch.utils.flop_counter import FlopCounterMode

from vitbench.measure.tracing.attribution import attribute
from vitbench.measure.tracing.chrome_trace import trace_of
from vitbench.measure.tracing.op_flops import op_flops

CALLS = {
    "linear": (F.linear, [(2, 5, 6), (7, 6), (7,)]),
    "linear without bias": (F.linear, [(2, 5, 6), (7, 6)]),
    "batched": (torch.matmul, [(3, 2, 5, 6), (3, 2, 6, 4)]),
    "broadcast": (torch.matmul, [(3, 2, 5, 6), (6, 4)]),
    "baddbmm": (torch.baddbmm, [(2, 3, 5), (2, 3, 4), (2, 4, 5)]),
    "einsum": (lambda a, b: torch.einsum("bhqd,bhkd->bhqk", a, b), [(2, 3, 5, 4), (2, 3, 6, 4)]),
    "conv1d": (lambda x, w: F.conv1d(x, w, stride=2, padding=3), [(2, 4, 17), (6, 4, 5)]),
    "conv2d": (lambda x, w, b: F.conv2d(x, w, b, stride=(2, 1), padding=(1, 2)), [(2, 4, 9, 8), (6, 4, 3, 3), (6,)]),
    "dilated": (lambda x, w: F.conv2d(x, w, dilation=2, padding="same"), [(1, 4, 9, 9), (6, 4, 3, 3)]),
    "grouped": (lambda x, w: F.conv2d(x, w, groups=2), [(2, 4, 6, 6), (6, 2, 3, 3)]),
    "depthwise": (lambda x, w: F.conv2d(x, w, groups=4, padding=3), [(2, 4, 9, 9), (4, 1, 7, 7)]),
    "conv3d": (F.conv3d, [(1, 2, 5, 6, 7), (3, 2, 3, 3, 3)]),
    "transposed": (lambda x, w: F.conv_transpose2d(x, w, stride=2, output_padding=1), [(2, 4, 5, 5), (4, 6, 3, 3)]),
    "attention": (F.scaled_dot_product_attention, [(2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 4)]),
    "attention, spelt out": (
        lambda q, k, v: (q @ k.transpose(-1, -2)).softmax(-1) @ v,
        [(2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 6)],
    ),
}


def recorded(call, inputs, tmp_path, *, backward):
    """The trace's FLOPs of one step."""
    file = tmp_path / "trace.json"
    once = torch.profiler.schedule(wait=0, warmup=1, active=1, repeat=1)
    write = lambda profiler: profiler.export_chrome_trace(str(file))  # noqa: E731
    with torch.profiler.profile(record_shapes=True, schedule=once, on_trace_ready=write) as p:
        for _ in range(2):
            out = call(*inputs)
            if backward:
                torch.autograd.backward(out, torch.ones_like(out))
            p.step()
    trace = trace_of(json.loads(file.read_text())["traceEvents"])
    return sum(share.flops or 0 for share in attribute(trace, {}, {}))


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("name", CALLS)
def test_flops_are_those_of_torchs_counter(name, backward, tmp_path):
    call, shapes = CALLS[name]
    counter = FlopCounterMode(display=False)
    with counter:
        out = call(*(torch.ones(shape, device="meta", requires_grad=backward) for shape in shapes))
        forward = counter.get_total_flops()
        if backward:
            torch.autograd.backward(out, torch.ones_like(out))
    # torch 2.13 counts the gradient of a grouped convolution's weight once a group too often
    truth = 3 * forward if backward and name in {"grouped", "depthwise"} else counter.get_total_flops()
    inputs = [torch.randn(shape, requires_grad=backward) for shape in shapes]
    assert recorded(call, inputs, tmp_path, backward=backward) == truth > 0


def test_only_the_gradients_that_are_asked_for_count(tmp_path):
    image, weight = torch.randn(2, 3, 8, 8), torch.randn(4, 3, 4, 4, requires_grad=True)
    call = lambda x, w: F.conv2d(x, w, stride=4)  # noqa: E731
    assert recorded(call, [image, weight], tmp_path, backward=True) == 2 * 2 * (2 * 2 * 2 * 4 * 3 * 16)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("aten::add", {"Input Dims": [[2, 2], [2, 2]]}),
        ("aten::mm", {}),
        ("aten::mm", {"Input Dims": [[], []]}),
        ("aten::convolution", {"Input Dims": [[1, 1, 3, 3], [1, 1, 3, 3]], "Concrete Inputs": ["", ""]}),
    ],
)
def test_no_product_or_no_shapes_is_no_count(name, args):
    assert op_flops(name, args) is None
