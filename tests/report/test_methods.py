"""How the report describes counting and memory: incomplete counts, and measurements that differ."""

from types import SimpleNamespace

from vitbench.report.memory_differences import memory_differences, memory_method
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


def test_measurements_that_differ_have_size_and_cause():
    one = memory(
        100 * MIB,
        200 * MIB,
        allocated={"inference": 100 * MIB, "training": 203 * MIB},
        resident={"inference": 99 * MIB, "training": 230 * MIB},
        closed_form={"inference": 100 * MIB, "training": None},
    )
    two = memory(50 * MIB, 60 * MIB, allocated={"inference": 50 * MIB, "training": 60 * MIB})
    study = Records(memory={"one": one, "two": two})
    assert "5 of 7 comparisons agree" in memory_method(study)
    found = [[cell.text for cell in row] for row in memory_differences(study).rows]
    assert found == [
        ["one", "training", "allocated", "203", "1.5% above modelled: kernel workspaces"],
        ["one", "training", "resident", "230", "13.3% above allocated: whole pages and other libraries"],
    ]


def test_measurements_that_agree_need_no_table():
    same = memory(MIB, 2 * MIB, allocated={"inference": MIB, "training": 2 * MIB})
    assert memory_differences(Records(memory={"a": same})) is None
    assert memory_differences(Records()) is None


def test_what_was_not_measured_says_why():
    off = {"inference": None, "training": None, "reason": "measure.resident is off"}
    gone = {"inference": 3 * MIB, "training": None, "reason": "it is Monday"}
    said = memory_method(Records(memory={"a": memory(3 * MIB, 9 * MIB, resident=off, allocated=gone)}))
    assert "Resident: not measured: measure.resident is off." in said
    assert "Allocated: not measured: it is Monday." in said
    both = {
        "a": memory(3 * MIB, 9 * MIB, allocated=gone),
        "b": memory(3 * MIB, 9 * MIB, allocated={"inference": 1, "training": 1}),
    }
    assert "Allocated: not measured for a: it is Monday." in memory_method(Records(memory=both))


def test_a_closed_form_that_disagrees_by_a_byte_is_a_difference():
    study = Records(memory={"a": memory(300, 400, closed_form={"inference": 300, "training": 401})})
    (row,) = memory_differences(study).rows
    assert [cell.text for cell in row][1:3] == ["training", "closed form"]
    assert row[-1].text == "401 and not 400 bytes"


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
        "backward pass is counted by torch's counter on meta and the closed form; they agree exactly on every variant."
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
    assert said.endswith("Incomplete, a lower bound, because operations have no formula: b (aten.mv, mylib.attention).")
    assert "Incomplete" not in counting(a=counted(100, 200))
