"""Each nanosecond to one part: traces worked out by hand."""

from collections import Counter

import pytest

from vitbench.measure.tracing.attribution import attribute
from vitbench.measure.tracing.chrome_trace import trace_of
from vitbench.measure.tracing.memory import memory_of
from vitbench.measure.tracing.summary import summarise

PARTS = {"blocks.0.attn": "attention", "blocks.0.mlp": "mlp", "blocks.0.mlp.norm": "norm"}
BLOCKS = {"blocks.0": "blocks.0"}
BACKWARD = "autograd::engine::evaluate_function: "


def op(name, start, end, *, tid=1, cat="cpu_op", **args):
    args = {key.replace("_", " "): value for key, value in args.items()}
    return {"ph": "X", "cat": cat, "name": name, "ts": start, "dur": end - start, "tid": tid, "args": args}


def mark(name, start, end):
    return op(name, start, end, cat="user_annotation")


def microseconds(shares, key):
    found = Counter()
    for share in shares:
        found[getattr(share, key)] += share.nanoseconds / 1000
    return {name: taken for name, taken in found.items() if taken}


FORWARD = [
    mark("ProfilerStep#1", 0, 100),
    mark("forward", 2, 92),
    mark("module blocks.0", 10, 80),
    mark("module blocks.0.attn", 20, 50),
    op("aten::addmm", 25, 45, **{"Input Dims": [[8], [4, 6], [6, 8], [], []]}),
    op("aten::copy_", 30, 35),
    mark("module blocks.0.mlp", 50, 70),
    mark("module blocks.0.mlp.norm", 52, 55),
    op("aten::mm", 56, 66, **{"Input Dims": [[4, 6], [6, 2]]}),
    op("aten::layer_norm", 81, 84),
    op("aten::native_layer_norm", 82, 84),
]


def test_a_forward_pass_worked_out_by_hand():
    shares = attribute(trace_of(FORWARD), PARTS, BLOCKS)
    # attention: 30, less 5 of copying; mlp: 20, less 3 of its norm; the norm that no module claims goes by its type
    truth = {"attention": 25, "copies": 5, "mlp": 17, "norm": 6, "other": 47}
    assert microseconds(shares, "part") == truth
    assert microseconds(shares, "home")["attention"] == 30
    assert microseconds(shares, "block") == {"blocks.0": 70, None: 30}
    assert microseconds(shares, "phase") == {"forward": 90, "other": 10}
    assert microseconds(shares, "operation")["aten::addmm"] == 15
    assert {s.operation: s.flops for s in shares if s.flops} == {
        "aten::addmm": 2 * 4 * 6 * 8,
        "aten::mm": 2 * 4 * 6 * 2,
    }
    summary = summarise(shares, trace_of(FORWARD), model="m", scope={}, blocks=BLOCKS, memory=None, counted=480)
    assert {part.name: round(part.share, 12) for part in summary.parts} == {k: v / 100 for k, v in truth.items()}
    assert {part.name: part.copies_ms for part in summary.parts if part.copies_ms} == {"attention": 0.005}
    assert summary.flops == 480
    assert summary.findings == ()
    assert summary.other[0] == ("Python and the profiler, between operations", 0.047)


def test_a_count_that_differs_is_a_finding():
    trace = trace_of(FORWARD)
    summary = summarise(
        attribute(trace, PARTS, BLOCKS), trace, model="m", scope={}, blocks=BLOCKS, memory=None, counted=490
    )
    assert "the count says 4.9e-07" in summary.findings[0]


def test_gradients_go_to_the_module_whose_operation_made_them():
    raw = [
        mark("ProfilerStep#1", 0, 100),
        mark("forward", 0, 40),
        mark("module blocks.0.attn", 0, 20),
        op("aten::linear", 1, 10, Sequence_number=7),
        op("aten::t", 1, 3, Sequence_number=7),
        op("aten::addmm", 3, 10, Sequence_number=8),
        mark("module blocks.0.mlp", 20, 40),
        op("aten::empty", 21, 22, Sequence_number=9),  # no gradient: the next has the same number
        op("aten::gelu", 22, 40, Sequence_number=9),
        mark("loss", 40, 50),
        op("aten::cross_entropy_loss", 40, 50, Sequence_number=10),
        mark("backward", 50, 90),
        op(BACKWARD + "LossBackward", 50, 60, Sequence_number=10),
        op(BACKWARD + "GeluBackward0", 60, 70, Sequence_number=9),
        op("aten::gelu_backward", 61, 69),
        op(BACKWARD + "AddmmBackward0", 70, 80, Sequence_number=8),
        op("aten::clone", 71, 74),
        op("aten::empty_like", 72, 73),
        op(BACKWARD + "torch::autograd::AccumulateGrad", 80, 90),
        mark("Optimizer.step#AdamW.step", 90, 98),
        op("aten::mul_", 91, 98),
    ]
    shares = attribute(trace_of(raw), PARTS, BLOCKS)
    truth = {"attention": 20 + 7, "mlp": 20 + 10, "loss": 20, "copies": 3, "optimizer": 8, "other": 12}
    assert microseconds(shares, "part") == truth
    assert microseconds(shares, "phase") == {"forward": 40, "loss": 10, "backward": 40, "optimizer": 8, "other": 2}
    assert microseconds([s for s in shares if s.phase == "backward"], "block") == {"blocks.0": 20, None: 20}


def test_a_step_between_two_that_are_recorded_does_not_count():
    raw = [mark("ProfilerStep#1", 0, 10), op("aten::mul", 12, 18), mark("ProfilerStep#2", 20, 40)]
    assert microseconds(attribute(trace_of(raw), {}, {}), "step") == {0: 10, 1: 20}


def kernel(name, start, end, external, cat="kernel"):
    return op(name, start, end, cat=cat, tid="stream 7", **{"External id": external})


def test_on_a_device_its_own_time_is_divided_by_what_launched_it():
    raw = [
        mark("ProfilerStep#1", 0, 1000),
        mark("forward", 0, 900),
        mark("module blocks.0.attn", 10, 300),
        op("aten::addmm", 20, 60, **{"External id": 5, "Input Dims": [[8], [4, 6], [6, 8]]}),
        op("aten::copy_", 100, 120, **{"External id": 6}),
        kernel("gemm", 70, 170, 5),
        kernel("splitKreduce", 170, 180, 5),
        kernel("Memcpy DtoD", 180, 200, 6, "gpu_memcpy"),
        kernel("mystery", 300, 370, 99),
        kernel("Memcpy HtoD", 370, 380, 98, "gpu_memcpy"),
    ]
    trace = trace_of(raw)
    shares = attribute(trace, PARTS, BLOCKS)
    assert microseconds(shares, "part") == {"attention": 110, "copies": 30, "other": 70}
    assert sum(share.flops or 0 for share in shares) == 2 * 4 * 6 * 8
    assert sum(share.starts for share in shares if share.operation == "aten::addmm") == 1
    summary = summarise(shares, trace, model="m", scope={}, blocks=BLOCKS, memory=None)
    assert summary.divided.startswith("time of kernels")
    assert "busy for 21% of" in summary.findings[0]
    assert sum(part.share for part in summary.parts) == pytest.approx(1)


def memory(at, size, address, *, total=0, device=0):
    args = {"Bytes": size, "Addr": address, "Total Allocated": total, "Device Type": device}
    return {"ph": "i", "name": "[memory]", "ts": at, "args": args}


def test_memory_is_a_ledger_over_what_was_held():
    raw = [
        mark("ProfilerStep#1", 0, 10),
        mark("ProfilerStep#2", 10, 30),
        memory(1, 100, 1),
        memory(2, -100, 1),
        memory(12, 50, 1),
        memory(14, 300, 2),
        memory(15, -70, 3),  # from before the recording: never added, so never taken away
        memory(16, -300, 2),
        memory(40, 9000, 4),  # after the last step
    ]
    found = memory_of(trace_of(raw), held=1000)
    assert (found.peak, found.held, found.step) == (1350, 1000, 1)
    assert found.timeline == ((0.0, 1000), (0.002, 1050), (0.004, 1350), (0.005, 1350), (0.006, 1050), (0.02, 1050))


def test_a_device_tells_its_own_total():
    raw = [
        mark("ProfilerStep#1", 0, 10),
        memory(1, 10, 1, total=510, device=1),
        memory(2, 7, 1),
        memory(3, -10, 1, total=500, device=1),
    ]
    found = memory_of(trace_of(raw), held=1000)
    assert (found.peak, found.held) == (510, None)


def test_no_allocations_are_no_memory():
    assert memory_of(trace_of([mark("ProfilerStep#1", 0, 10)]), held=10) is None
