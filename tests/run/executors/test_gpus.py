"""Placement of trainings on GPUs. There is no GPU here: the jobs' environment variables are checked."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from vitbench.declare.ablation import Ablation
from vitbench.declare.train import TrainConfig
from vitbench.declare.vit import ViTConfig
from vitbench.records.record import Record
from vitbench.run.executors.gpus import (
    CONTEXT,
    MAX_PER_GPU,
    SAFETY,
    GpuScheduler,
    choose_gpu,
    gpu_share,
    modelled_bytes,
    peaks_of,
)
from vitbench.run.executors.job import Job, Result
from vitbench.run.job_requests import job_of
from vitbench.run.planning.trials import Preflight, Trials

GIB = 1 << 30
GPUS = st.lists(st.integers(4 * GIB, 80 * GIB), min_size=1, max_size=4)
NEEDS = st.lists(st.one_of(st.just(0), st.integers(1, 100 * GIB)), max_size=20)


class FakeExecutor:
    """Runs nothing: jobs end when they are told to."""

    cores, gpus = 8, 0

    def __init__(self):
        self.started, self.over, self.key = {}, [], 0

    def submit(self, job):
        self.key += 1
        self.started[self.key] = job
        return self.key

    def wait(self, timeout=None, also=()):
        ended, self.over = self.over, []
        for key, _ in ended:
            del self.started[key]
        return ended

    def cancel(self):
        self.started.clear()

    def held(self, gpu):
        return [job.memory_bytes for job in self.started.values() if job.env["CUDA_VISIBLE_DEVICES"] == gpu]


def taken(need, gpu):
    return min(need or gpu, gpu)


@given(GPUS, NEEDS, st.data())
def test_no_gpu_is_overfull_and_none_idles_while_a_job_fits(gpus, needs, data):
    under = FakeExecutor()
    executor = GpuScheduler(under, gpus)
    waiting = {executor.submit(Job(function="f", gpus=0.5, memory_bytes=need)): need for need in needs}
    ended = set()
    while True:
        held = [under.held(str(gpu)) for gpu in range(len(gpus))]
        for gpu, on in zip(gpus, held, strict=True):
            assert sum(taken(need, gpu) for need in on) <= gpu
            assert len(on) <= MAX_PER_GPU
        assert len(executor) == len(needs) - len(ended)
        not_begun = sorted(waiting.values())
        for need in [need for on in held for need in on]:
            not_begun.remove(need)
        assert all(choose_gpu(need, gpus, held) is None for need in not_begun)
        if not under.started:
            break
        theirs = data.draw(st.sampled_from(sorted(under.started)))
        under.over = [(theirs, Result(status="ok"))]
        ((key, _),) = executor.wait()
        del waiting[key]
        ended.add(key)
    assert len(ended) == len(needs)  # whatever it needs, alone it runs


@given(st.one_of(st.just(0), st.integers(1, 200 * GIB)), GPUS)
def test_an_empty_gpu_takes_any_job_and_an_unknown_need_takes_a_whole_gpu(need, gpus):
    empty = [[] for _ in gpus]
    assert gpus[choose_gpu(need, gpus, empty)] == max(gpus)
    assert choose_gpu(0, gpus, [[1]] * len(gpus)) is None
    assert choose_gpu(1, gpus, [[0]] * len(gpus)) is None


@given(st.integers(1, 200 * GIB), GPUS)
def test_a_share_of_a_gpu_covers_the_need(need, gpus):
    part = gpu_share(need, gpus)
    assert 1 / MAX_PER_GPU <= part <= 1
    assert part * min(gpus) >= min(need, *gpus) * (1 - 1e-9)
    assert gpu_share(0, gpus) == gpu_share(need, []) == 1.0


def test_visible_gpus_keep_their_names(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-abc")
    under = FakeExecutor()
    executor = GpuScheduler(under, [GIB, 2 * GIB])
    for _ in range(2):
        executor.submit(Job(function="f", gpus=1.0, env={"KEPT": "1"}))
    executor.submit(Job(function="f"))  # it needs no gpu
    first, second, third = under.started.values()
    assert first.env == {"KEPT": "1", "CUDA_VISIBLE_DEVICES": "GPU-abc"}
    assert second.env == {"KEPT": "1", "CUDA_VISIBLE_DEVICES": "2"}
    assert third.env == {}
    executor.cancel()
    assert len(executor) == 0


TINY = ViTConfig(img_size=8, patch_size=4, in_chans=1, num_classes=10, embed_dim=16, depth=1, num_heads=2)
PEAK = {"bytes": 1000, "parameters": 100, "gradients": 100, "optimizer": 200, "activations": 500, "workspace": 100}
PREFLIGHT = Preflight(
    device="cuda",
    data={"name": "digits", "version": "1", "num_train": 100, "num_classes": 10},
    torch={},
    gpu_bytes=[GIB * 8],
)


def accuracies(**changes):
    ablation = Ablation(
        question="?", baseline=TINY, axes={"depth": (1, 2)}, seeds=1, train=TrainConfig(batch_size=64), **changes
    )
    return [t for block in Trials(ablation, PREFLIGHT, 1).measured(["accuracy"]) for t in block]


def record(name, **peak):
    values = {"batch_size": 8, "training": PEAK | peak, "inference": PEAK | {"bytes": 500} | peak}
    return Record(id=name, ablation="a", kind="memory", variant=name, values=values)


def test_a_training_is_modelled_at_its_own_batch_size():
    first, other = accuracies()
    peaks = peaks_of([record("depth=1")])
    assert modelled_bytes(first, peaks) == SAFETY * (400 + 600 * 64 / 8) + CONTEXT["cuda"]
    assert modelled_bytes(other, peaks) == 0
    on_cpu = dataclasses.replace(first, device="cpu")
    assert modelled_bytes(on_cpu, peaks) == SAFETY * (400 + 600 * 64 / 8) + CONTEXT["cpu"]


def test_a_teacher_needs_memory_too():
    taught = {"train.distillation": "soft", "train.teacher": "variant:depth=2"}
    trials = {t.variants[0].name: t for t in accuracies(combined={"taught": taught})}
    peaks = peaks_of([record("taught"), record("depth=1")])
    assert modelled_bytes(trials["taught"], peaks) == 0
    peaks |= peaks_of([record("depth=2", parameters=0, gradients=0, optimizer=0)])
    own = 400 + 600 * 8
    assert modelled_bytes(trials["taught"], peaks) == SAFETY * (own + 500 * 8) + CONTEXT["cuda"]


def test_a_training_reserves_the_share_that_it_needs():
    trial, _ = accuracies()
    job = job_of(trial, None, memory_bytes=2 * GIB, gpu_bytes=PREFLIGHT.gpu_bytes)
    assert (job.gpus, job.memory_bytes, job.cores, job.spawn, job.alone) == (0.25, 2 * GIB, 1, True, False)
    assert job_of(trial, None).gpus == 1.0
    assert job_of(dataclasses.replace(trial, device="cpu"), None, memory_bytes=GIB).gpus == 0.0
