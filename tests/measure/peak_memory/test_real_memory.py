"""Allocated and resident memory: planted bytes, another size of parent, and every way not to get a number."""

import mmap
import sys
from dataclasses import replace

import pytest
import torch

from vitbench.declare.external import ExternalConfig
from vitbench.declare.measure import MeasureConfig
from vitbench.declare.vit import ViTConfig
from vitbench.measure import memory
from vitbench.measure.peak_memory import all_methods, real_step, resident, table
from vitbench.measure.peak_memory.resident import rise, run_in_child
from vitbench.utils.errors import UserError

MIB = 2**20
TINY = ViTConfig(img_size=32, patch_size=4, embed_dim=96, depth=3, num_heads=3, num_classes=10)
MIDDLE = ViTConfig(img_size=64, patch_size=4, embed_dim=192, depth=3, num_heads=3)
SLACK = MIB // 2
"""What a process's heap may hold already when a step begins; pages that are not counted again, whatever the model."""
SETTINGS, MODELLED = MeasureConfig(resident=True), MeasureConfig()
MODULE = """
import os, signal
import torch
from torch import nn

class Holds(nn.Module):
    def __init__(self, mib, num_classes=10):
        super().__init__()
        self.mib = mib
        self.head = nn.Linear(3, num_classes)

    def forward(self, x):
        held = torch.ones(self.mib * 2**18)
        return self.head(x.mean((2, 3))) + held[0]

class Dies(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.head = nn.Linear(3, num_classes)

    def forward(self, x):
        print("words that are no answer")
        os.kill(os.getpid(), signal.SIGKILL)

class Raises(Dies):
    def forward(self, x):
        if type(x).__name__ != "FakeTensor":
            raise ValueError("it is Monday")
        return self.head(x.mean((2, 3)))
"""


@pytest.fixture
def nets(tmp_path, monkeypatch):
    (tmp_path / "memory_nets.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield "memory_nets"
    sys.modules.pop("memory_nets", None)


@pytest.mark.slow
def test_a_planted_tensor_is_resident_to_the_page(nets):
    small, large = (
        run_in_child(
            ExternalConfig(f"{nets}:Holds", {"mib": mib}, img_size=8),
            SETTINGS,
            ("resident",),
            device="cpu",
            training=False,
        )["resident"]
        for mib in (16, 80)
    )
    assert large["held"] == small["held"]
    assert large["step"] - small["step"] == pytest.approx(64 * MIB, rel=0.01)


@pytest.mark.nightly("memory")
def test_resident_memory_does_not_depend_on_the_parents_size():
    """MEASUREMENT, target 7; ``ru_maxrss`` of a child reads the gibibyte of its parent, which is this process."""

    def resident():
        found = run_in_child(MIDDLE, MODELLED, ("resident",), device="cpu", training=True)
        return sum(found["resident"].values())

    small = resident()
    with mmap.mmap(-1, 2**30) as held:
        for page in range(0, 2**30, mmap.PAGESIZE):
            held[page] = 1
        large = resident()
    assert large == pytest.approx(small, rel=0.05)
    assert small == pytest.approx(memory(MIDDLE, 8, training=True).bytes, rel=0.02)


def test_the_rise_is_of_the_call_alone():
    def touched(mib: int) -> mmap.mmap:
        pages = mmap.mmap(-1, mib * MIB)  # the allocator might hand out pages that are resident already
        pages.write(b"\1" * len(pages))
        return pages

    before = touched(64)  # what is there already does not count
    assert rise(lambda: touched(32).close()) > 31 * MIB  # the kernel adds its cores' counts up a little later
    assert rise(lambda: None) < MIB
    before.close()


def test_a_kernel_without_clear_refs_is_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(resident, "CLEAR", tmp_path / "no" / "clear_refs")
    with pytest.raises(UserError, match="resident memory is not available here"):
        rise(lambda: None)


@pytest.mark.slow
def test_a_child_that_dies_says_how(nets):
    with pytest.raises(UserError, match="ended with signal 9"):
        run_in_child(ExternalConfig(f"{nets}:Dies", img_size=8), SETTINGS, ("resident",), device="cpu", training=False)


def entries(config, settings=MODELLED, device="cpu"):
    peaks = {"inference": MIB, "training": 3 * MIB}
    return all_methods.measured(config, settings, device=device, modelled=peaks)


def test_every_number_or_its_reason():
    found = entries(TINY)
    assert found["resident"] == {"inference": None, "training": None, "reason": all_methods.OFF}
    assert found["reserved"] == found["process"] == {"inference": None, "training": None, "reason": all_methods.NO_GPU}
    peaks = {mode: memory(TINY, 8, training).bytes for mode, training in (("inference", False), ("training", True))}
    assert found["allocated"] == found["closed_form"] == peaks


def test_a_model_that_raises_keeps_what_is_modelled(nets):
    found = entries(ExternalConfig(f"{nets}:Raises", img_size=8, num_classes=10))
    assert found["allocated"] == {"inference": None, "training": None, "reason": "ValueError: it is Monday"}
    assert "closed_form" not in found


def test_a_step_that_would_not_fit_is_not_run(monkeypatch):
    monkeypatch.setattr(real_step, "free_memory", lambda: 3 * MIB)
    found = entries(TINY, SETTINGS)
    assert found["resident"]["training"] is None
    assert found["resident"]["reason"] == "it needs 3 MiB by the model, and 3 MiB are free"
    assert found["allocated"]["inference"] > 0


def test_the_closed_form_speaks_of_float32_alone():
    assert "closed_form" not in entries(TINY, MeasureConfig(dtype="bfloat16"))
    assert entries(TINY, MeasureConfig(checkpoint_activations=True))["closed_form"]["training"] is None


def test_on_a_gpu_three_numbers_stay_apart(monkeypatch):
    gpu = {"allocated": 5, "reserved": 7, "process": None, "reason": "NVML lists no process"}
    monkeypatch.setattr(all_methods, "run_in_child", lambda *_, **__: {"gpu": gpu})
    found = entries(TINY, device="cuda")
    assert found["allocated"] == {"inference": 5, "training": 5}
    assert found["reserved"] == {"inference": 7, "training": 7}
    assert found["process"] == {"inference": None, "training": None, "reason": "NVML lists no process"}
    assert found["resident"]["reason"] == all_methods.ON_GPU


@pytest.mark.nightly("memory")
def test_the_table_has_a_row_a_step(capsys):
    found, reasons = table.rows({"middle": MIDDLE}, MeasureConfig(batch_size=4))
    assert reasons == []
    heads, cells = table.cells(found)
    assert [row["step"] for row in found] == ["inference", "training"]
    assert all(len(line) == len(heads) for line in cells)
    for row in found:
        assert row["modelled_bytes"] == row["closed_form_bytes"] == row["allocated_bytes"]
        assert sum(row[f"{part.lower()}_bytes"] for part in heads[2:7]) == row["modelled_bytes"]
        assert row["resident_bytes"] == pytest.approx(row["modelled_bytes"], rel=0.02, abs=SLACK)


def test_the_step_is_the_one_that_is_modelled():
    step = real_step.real_step(replace(TINY, depth=1), MeasureConfig(), device="cpu", training=True)
    before = torch.get_rng_state()
    step.warm_up()
    modelled = memory(replace(TINY, depth=1), 8, training=True)
    extra = step.held_bytes() - modelled.parameters - modelled.optimizer
    assert extra == 8 * 3 * 32 * 32 * 4 + 8 * 8  # images, and labels of eight bytes
    assert torch.equal(before, torch.get_rng_state())
