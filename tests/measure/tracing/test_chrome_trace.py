"""Reading a trace back: nesting, own times, steps, and files that are none."""

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitbench.measure.tracing.chrome_trace import load, trace_of
from vitbench.utils.errors import UserError


def event(name, start, end, *, cat="cpu_op", tid=1, **args):
    """Microseconds, as a trace has them."""
    return {"ph": "X", "cat": cat, "name": name, "ts": 1e12 + start, "dur": end - start, "tid": tid, "args": args}


def step(start, end, number=1):
    return event(f"ProfilerStep#{number}", start, end, cat="user_annotation")


@st.composite
def calls(draw, start=0, depth=3):
    """A call with calls inside it, back to back or apart, in whole microseconds: (start, end, [children])."""
    children, at = [], start
    for _ in range(draw(st.integers(0, 3)) if depth else 0):
        child = draw(calls(start=at + draw(st.integers(0, 3)), depth=depth - 1))
        children.append(child)
        at = child[1]
    return start, at + draw(st.integers(1, 5)), children


def flat(call, parent=None):
    start, end, children = call
    me = (start, end, parent, sum(b - a for a, b, _ in children))
    return [me, *(other for child in children for other in flat(child, me))]


@given(calls(), st.randoms())
def test_own_times_are_what_no_child_took_and_add_up_to_the_step(call, random):
    truth = flat(call)
    raw = [step(call[0], call[1] + 1), *(event(f"{a}-{b}", a, b) for a, b, *_ in truth)]
    random.shuffle(raw)
    trace = trace_of(raw)
    (whole,) = trace.steps
    assert sum(found.own for found in trace.host) == whole.end - whole.start
    own = sorted((e.name, e.own) for e in trace.host if e is not whole)
    assert own == sorted((f"{a}-{b}", 1000 * (b - a - inside)) for a, b, _, inside in truth)
    assert all(e.parent.start <= e.start <= e.end <= e.parent.end for e in trace.host if e is not whole)


def test_threads_are_apart_and_a_child_that_outlasts_its_parent_is_cut():
    trace = trace_of([step(0, 10), event("late", 5, 10.002), event("elsewhere", 2, 8, tid=2)])
    own = {found.name: (found.own, found.parent and found.parent.name) for found in trace.host}
    assert own == {"ProfilerStep#1": (5000, None), "late": (5000, "ProfilerStep#1"), "elsewhere": (6000, None)}


def test_moments_belong_to_steps():
    trace = trace_of([step(0, 10), step(12, 20, 2)])
    assert [trace.step_of(at * 1000) for at in (0, 9, 10, 12, 20)] == [0, 0, None, 1, None]


@pytest.mark.parametrize("suffix", ["json", "json.gz"])
def test_files_are_read_packed_or_not(tmp_path, suffix):
    path, text = tmp_path / f"a.pt.trace.{suffix}", json.dumps({"traceEvents": [step(0, 1)]}).encode()
    path.write_bytes(gzip.compress(text) if suffix.endswith("gz") else text)
    assert len(load(path).steps) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read as a trace"),
        ("[]", "holds no traceEvents"),
        ('{"traceEvents": 3}', "holds no traceEvents"),
        ('{"traceEvents": []}', "marks no step"),
    ],
)
def test_what_is_no_trace_is_refused(tmp_path, text, words):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(UserError, match=words):
        load(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.json"):
        load(tmp_path / "none.json")
