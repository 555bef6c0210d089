"""Compiled subjects: compiled once for all placements, apart from each other, and refused where nothing can compile."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch._dynamo.utils import counters

from vitbench.measure.timing.compiled import Compiled
from vitbench.measure.timing.session import run_session
from vitbench.measure.timing.subject import Subject, SubjectError
from vitbench.models.compiler import compiler
from vitbench.utils.errors import UserError, first_line


def test_without_a_compiler_it_says_what_to_install(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert compiler() is None
    with pytest.raises(
        UserError, match=r"needs a C\+\+ compiler on the CPU, .*apt install g\+\+, or leave compile off"
    ):
        Compiled("cpu")
    subjects = {
        "a": Subject(nn.Linear(2, 2), torch.zeros(1, 2)),
        "b": Subject(nn.Identity(), torch.zeros(1), "cpu", True),
    }
    with pytest.raises(SubjectError, match=r"^b cannot be timed: .*needs a C\+\+ compiler"):
        run_session(subjects, baseline="a", blocks=1, cycles=1, warmup_s=0)


def test_an_error_that_ends_in_a_colon_goes_on():
    assert first_line(RuntimeError("backend='inductor' raised:\nCppCompileError: no luck\nmore")) == (
        "backend='inductor' raised: CppCompileError: no luck"
    )
    assert first_line(RuntimeError("one\ntwo")) == "one"
    assert first_line(RuntimeError()) == ""


@pytest.fixture
def uncompiled(monkeypatch):
    """Compilers that compile nothing, and count: what is tested is when torch compiles, not what."""
    graphs = []

    def backend(graph, _):
        graphs.append(graph)
        return graph

    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function, **options: real(function, backend=backend, **options))
    monkeypatch.setattr("vitbench.models.compiler.compiler", lambda: "yes")
    torch._dynamo.reset()
    yield graphs
    torch._dynamo.reset()


def mlp(depth):
    return nn.Sequential(*[nn.Linear(8, 8) for _ in range(depth)])


@pytest.mark.parametrize("mode", ["forward", "train_step"])
def test_each_subject_is_compiled_once_whatever_the_placements(uncompiled, mode):
    subjects = {f"depth {d}": Subject(mlp(d), torch.randn(4, 8), compile=True) for d in range(1, 11)}
    subjects["eager"] = Subject(mlp(3), torch.randn(4, 8))
    counters.clear()
    session = run_session(subjects, baseline="depth 1", blocks=3, cycles=1, warmup_s=0, mode=mode)
    assert len(uncompiled) == 10  # ten subjects of one class, each block a fresh copy of each, and the baseline's clone
    assert not counters["graph_break"]
    assert set(session.samples) == set(subjects)


def test_a_compiler_that_fails_is_the_subjects_failure(uncompiled, monkeypatch):
    def broken(_graph, _example):
        raise RuntimeError("no such instruction")

    real = torch._dynamo.optimize
    monkeypatch.setattr(torch, "compile", lambda function, **_: real(broken)(function))
    subjects = {"a": Subject(mlp(1), torch.randn(4, 8)), "b": Subject(mlp(2), torch.randn(4, 8), compile=True)}
    with pytest.raises(SubjectError, match=r"^b cannot be timed: .*no such instruction"):
        run_session(subjects, baseline="a", blocks=1, cycles=1, warmup_s=0)


@pytest.mark.nightly("compiled")
def test_really_compiled_code_gives_the_models_output():
    if compiler() is None:
        pytest.skip("no C++ compiler")
    torch._dynamo.reset()
    model, images = nn.Sequential(mlp(2), nn.GELU(), nn.LayerNorm(8)).eval(), torch.randn(4, 8)
    with torch.inference_mode():
        found = Compiled("cpu").function(model, images)
        torch.testing.assert_close(found, model(images))
