"""What a report says of counting and of memory: the findings, who is incomplete, which ways differ and why."""

from types import SimpleNamespace

from vitbench.report.memory import memory_method
from vitbench.report.methods import methods

MIB = 2**20


class Records:
    """A study that has these records and no others."""

    def __init__(self, **records):
        self.records = records

    def of(self, kind, *_):
        return [
            SimpleNamespace(variant=variant, values=values) for variant, values in self.records.get(kind, {}).items()
        ]


def peak(size):
    parts = {"parameters": size // 2, "gradients": 0, "optimizer": 0, "activations": size - size // 2, "workspace": 0}
    return {"bytes": size, **parts}


def memory(inference, training, **entries):
    return {"inference": peak(inference), "training": peak(training), **entries}


def test_an_earlier_record_says_what_it_said_then():
    old = memory(MIB, 2 * MIB)
    for mode in ("inference", "training"):
        del old[mode]["workspace"]
    assert memory_method(Records(memory={"a": old})) == (
        "modelled: the peak of all storages alive at once, tracked on fake tensors (parameters, gradients, optimiser "
        "state, activations). What kernels allocate inside themselves and what the allocator keeps is not in it."
    )


def test_ways_that_differ_are_named_with_size_and_cause():
    one = memory(
        100 * MIB,
        200 * MIB,
        allocated={"inference": 100 * MIB, "training": 203 * MIB},
        resident={"inference": 99 * MIB, "training": 230 * MIB},
        closed_form={"inference": 100 * MIB, "training": None},
    )
    two = memory(50 * MIB, 60 * MIB, allocated={"inference": 50 * MIB, "training": 60 * MIB})
    said = memory_method(Records(memory={"one": one, "two": two}))
    assert "and workspace, which is" in said
    assert "Equal to the closed form, to the byte, in all 1 cases that it covers." in said
    assert "at its peak; 0.0% to +1.5% beside modelled. Over 1%, kernel workspaces: one (training +1.5%)." in said
    assert "beside allocated. Over 1%, whole pages" in said
    assert "one (training +13.3%)." in said


def test_what_was_not_measured_says_why():
    off = {"inference": None, "training": None, "reason": "measure.resident is off"}
    gone = {"inference": 3 * MIB, "training": None, "reason": "it is Monday"}
    said = memory_method(Records(memory={"a": memory(3 * MIB, 9 * MIB, resident=off, allocated=gone)}))
    assert "Resident: what the kernel gave" in said
    assert said.endswith("not measured: measure.resident is off.")
    assert "Allocated: not measured: it is Monday." in said
    both = {
        "a": memory(3 * MIB, 9 * MIB, allocated=gone),
        "b": memory(3 * MIB, 9 * MIB, allocated={"inference": 1, "training": 1}),
    }
    assert "Allocated of a: not measured: it is Monday." in memory_method(Records(memory=both))


def test_a_closed_form_that_disagrees_is_told():
    said = memory_method(Records(memory={"a": memory(300, 400, closed_form={"inference": 300, "training": 404})}))
    assert "The closed form says otherwise of a (training) 404 bytes." in said


def counted(macs, backward, *, complete=True, findings=(), **others):
    ways = {"torch_meta": (macs, backward), **others}
    return {
        "methods": {way: {"macs": forward, "macs_backward": back} for way, (forward, back) in ways.items()},
        "macs_backward": backward,
        "complete": complete,
        "findings": list(findings),
    }


def counting(**costs):
    return dict(methods(Records(cost=costs)))["MACs and FLOPs"]


def test_both_passes_and_who_counted_them():
    said = counting(a=counted(100, 200, closed_form=(100, 200), fvcore=(100, None)))
    assert (
        "Counted by torch's counter on meta, the closed form and fvcore; they agree exactly on every variant." in said
    )
    assert said.endswith(
        "The backward pass by torch's counter on meta and the closed form; they agree exactly on every variant."
    )
    assert "disagree on a (torch's counter on meta 200, the closed form 201)." in counting(
        a=counted(100, 200, closed_form=(100, 201))
    )


def test_an_incomplete_count_names_variant_and_operation():
    findings = (
        "aten.mv has no formula: the count leaves it out",
        "mylib.attention has no formula: the count leaves it out",
        "fvcore has no formula for aten::mv",
    )
    said = counting(a=counted(100, 200), b=counted(50, 100, complete=False, findings=findings))
    assert said.endswith("Incomplete, a lower bound, for want of a formula: b (aten.mv, mylib.attention).")
    assert "Incomplete" not in counting(a=counted(100, 200))
