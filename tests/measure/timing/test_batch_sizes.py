"""Throughput over batch sizes on a simulated device, saturation by hand, and the largest batch within a limit."""

from __future__ import annotations

import pytest
import torch

from vitbench.declare.measure import MeasureConfig
from vitbench.declare.vit import ViTConfig
from vitbench.measure import other_tables
from vitbench.measure.__main__ import main
from vitbench.measure.peak_memory import largest_batch
from vitbench.measure.peak_memory.modelled import memory
from vitbench.measure.timing.batch_sizes import doublings, saturation_batch_size, sweep
from vitbench.measure.timing.subject import Subject
from vitbench.utils.errors import UserError

TINY = ViTConfig(img_size=8, patch_size=2, in_chans=1, num_classes=10, embed_dim=32, depth=2, num_heads=2)


def test_doublings():
    assert doublings(8) == (1, 2, 4, 8)
    assert doublings(1) == (1,)
    assert doublings(24) == (1, 2, 4, 8, 16)


@pytest.mark.parametrize(
    ("rates", "found"),
    [
        ({1: 100, 2: 190, 4: 300, 8: 310, 16: 312}, 4),
        ({1: 100, 2: 101, 4: 180, 8: 183}, 4),  # a lull is no end
        ({1: 100, 2: 200, 4: 400}, None),
        ({1: 100, 2: 90}, 1),
        ({1: 100, 2: 105}, None),  # 5 % is not less than 5 %
        ({4: 100}, None),
        ({}, None),
    ],
)
def test_saturation(rates, found):
    assert saturation_batch_size(rates) == found


class Device:
    """A call takes 10 ms and 1 ms an image, up to 4 images at once in parallel; over 16 do not fit."""

    def __init__(self):
        self.now = 0.0
        self.log = []

    def __call__(self):
        return self.now

    def subject_of(self, name, size):
        def call(example):
            self.log.append((name, size))
            if size > 16:
                raise RuntimeError("out of memory")
            self.now += 0.010 + 0.001 * size
            return example

        return Subject(call, torch.zeros(size, 1))


def test_sweep_gives_the_devices_rates_and_learns_what_fits():
    device = Device()
    found = sweep(device.subject_of, ["a", "b"], (1, 2, 4, 8, 16, 32, 64), window_s=1.0, windows=3, timer=device)
    assert found["a"].windows.keys() == {1, 2, 4, 8, 16}
    assert found["a"].interval(8).value == pytest.approx(8 / 0.018, rel=0.01)
    assert found["a"].interval(8).n == 3
    assert found["a"].ended == "32 images per call: RuntimeError: out of memory"
    assert found["a"].saturation is None
    assert not {("a", 64), ("b", 64)} & set(device.log)


def test_rounds_visit_all_cells_in_an_order_of_their_own():
    device = Device()
    seen = []
    sweep(device.subject_of, ["a", "b"], (1, 2, 4), window_s=0.1, windows=4, timer=device,
          on_window=lambda *cell: seen.append(cell))  # fmt: skip
    rounds = [seen[k : k + 6] for k in range(0, 24, 6)]
    assert all(sorted(one) == sorted(rounds[0]) for one in rounds)
    assert len({tuple(one) for one in rounds}) > 1


@pytest.mark.slow
def test_prediction_is_the_modelled_memorys():
    settings = MeasureConfig()
    limit = memory(TINY, batch_size=100).bytes
    assert largest_batch.predict(TINY, settings, limit) == 100
    assert largest_batch.predict(TINY, settings, limit - 1) == 99
    with pytest.raises(UserError, match="not even one image fits into 0 MiB"):
        largest_batch.predict(TINY, settings, 1000)


@pytest.mark.parametrize(("fits", "confirmed", "tried"), [(10**6, None, 8), (100, 100, 2), (70, 64, 5), (0, None, 8)])
def test_a_batch_that_does_not_fit_is_followed_by_smaller_ones(monkeypatch, fits, confirmed, tried):
    monkeypatch.setattr(largest_batch, "predict", lambda *_: 100)
    says = lambda *args: "fits" if args[3] <= fits else "does not fit"  # noqa: E731
    monkeypatch.setattr(largest_batch, "_attempt", says)
    found = largest_batch.largest_batch(TINY, MeasureConfig(), limit_bytes=1)
    assert found.predicted == 100
    assert len(found.tried) <= tried
    if fits == 10**6:
        assert found.confirmed == max(found.tried)  # everything fitted; it was not looked for without end
    else:
        assert found.confirmed == confirmed


@pytest.mark.nightly("memory")
def test_the_limit_is_the_processes_own():
    """A process that may take 256 MiB more runs what fits and is refused what does not, and nobody else notices."""
    small = largest_batch.largest_batch(TINY, MeasureConfig(), limit_bytes=256 * 2**20)
    assert small.confirmed is not None
    assert 0.3 < small.confirmed / small.predicted < 1.5
    assert largest_batch.DOES_NOT in small.tried.values() or len(small.tried) == largest_batch.TRIES


@pytest.mark.slow
def test_tables(monkeypatch, capsys):
    monkeypatch.setattr(other_tables, "WINDOW_S", 0.02)
    assert main(["--only", "batch-sizes", "--batch-size", "4", "--img-size", "32", "vit_tiny_patch16_224"]) == 0
    out = capsys.readouterr().out
    assert "3 interleaved windows of 0.02 s" in out
    assert [line.split()[1] for line in out.splitlines() if line.startswith("vit_tiny")] == ["1", "2", "4"]
    monkeypatch.setattr(largest_batch, "_attempt", lambda *args: "fits" if args[3] < 30 else "does not fit")
    monkeypatch.setattr(largest_batch, "available_bytes", lambda _: 64 * 2**20)
    main(["--only", "largest-batch", "--img-size", "32", "--format", "csv", "vit_tiny_patch16_224"])
    head, row = capsys.readouterr().out.splitlines()
    assert head == "variant,predicted_batch_size,largest_batch_size,limit_mib,tried"
    assert row.startswith("vit_tiny_patch16_224,")
