"""The data pipeline as a whole: how soon a first batch comes, whether memory stays flat, how long training waits.

What these tests print (``pytest -s``) is the machine's; they assert only what the issue asks of any, or what cannot
depend on the machine.
"""

from __future__ import annotations

import dataclasses
import os
import resource
import shutil
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image

from vitbench import TrainConfig, zoo
from vitbench.data import load
from vitbench.data.files import Files
from vitbench.data.stream import Stream
from vitbench.train.batch_loader import BatchLoader
from vitbench.train.loop import train

pytestmark = [pytest.mark.nightly("data"), pytest.mark.timeout(600)]


def _photos(root, count: int, side: int, classes: int = 10) -> None:
    """JPEGs as large on disk as photographs are: smooth with some noise."""
    rng = np.random.default_rng(0)
    for i in range(count):
        (root / f"class{i % classes}").mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(256, size=(8, 8, 3), dtype=np.uint8)).resize((side, side))
        noisy = np.asarray(coarse).astype(np.int16) + rng.integers(-12, 13, size=(side, side, 3))
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(root / f"class{i % classes}" / f"{i}.jpg", quality=90)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _resident_mib() -> float:
    with open("/proc/self/statm") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


@pytest.fixture(scope="module")
def ten_thousand(tmp_path_factory):
    place = tmp_path_factory.mktemp("photos") / "images"
    _photos(place, 10_000, 48)
    return place


@pytest.mark.parametrize("streamed", [False, True])
def test_ten_thousand_small_images_begin_within_ten_seconds_and_memory_stays_flat(
    tmp_path, ten_thousand, monkeypatch, streamed
):
    shutil.copytree(ten_thousand, tmp_path / "images", copy_function=os.link)  # nothing is cached of that path
    if streamed:
        monkeypatch.setattr("vitbench.data.folder.IN_MEMORY", 0)
    start, cpu = time.perf_counter(), os.times()
    dataset = load(f"folder:{tmp_path / 'images'}")
    rows = torch.randperm(len(dataset.train), generator=torch.Generator().manual_seed(0))
    if not isinstance(dataset.train, Stream):
        assert dataset.train.take(rows[:64]).shape == (64, 3, 48, 48)
        seconds, spent = time.perf_counter() - start, np.subtract(os.times()[:4], cpu[:4]).sum()
        _say(f"\nin memory: {seconds:.1f} s, {spent:.1f} s of CPU, to the first batch of {len(dataset.train)} images")
        start = time.perf_counter()
        load(f"folder:{tmp_path / 'images'}")
        _say(f"a second time: {time.perf_counter() - start:.1f} s")
        feed = BatchLoader(dataset, TrainConfig(batch_size=64, shift_px=4), seed=0, device="cpu")
        levels = [_resident_mib()]
        for _ in range(4):
            assert sum(len(images) for images, _ in feed.epoch()) == 64 * feed.per_epoch
            levels.append(_resident_mib())
    else:
        levels = []
        for epoch in range(4):
            for images, _ in dataset.train.batches(rows, batch_size=64, boxes=None, workers=1, device="cpu"):
                if not levels and epoch == 0:
                    seconds, spent = time.perf_counter() - start, np.subtract(os.times()[:4], cpu[:4]).sum()
                    _say(f"\nstreamed: {seconds:.1f} s, {spent:.1f} s of CPU, to the first batch of {len(rows)} images")
                    levels.append(_resident_mib())
                assert images.shape[1:] == (3, 48, 48)
            levels.append(_resident_mib())
    _say("resident memory at the first batch and after each epoch (MiB): " + " ".join(f"{v:.0f}" for v in levels))
    assert len(levels) == 5
    assert levels[-1] - levels[1] < 16  # nothing grows from epoch to epoch
    assert (
        spent < 20
    )  # on a machine of its own this is under ten seconds of wall clock; shared, only the work can be told


def test_the_share_of_a_training_step_spent_waiting_for_data(tmp_path):
    """ViT-Ti/16, a folder of 224 px JPEGs, one loading worker beside one training thread: at most 10 % is asked for."""
    count, batch = 96, 16
    _photos(tmp_path, count, 224)
    paths = sorted(str(path) for path in tmp_path.rglob("*.jpg"))
    model = zoo("vit_tiny_patch16_224")
    torch.set_num_threads(1)
    stream = Stream(Files.of(paths), torch.arange(count) % 10, 224)
    start = time.perf_counter()
    stream.take(torch.arange(64))
    alone = (time.perf_counter() - start) / 64
    dataset = load(f"folder:{tmp_path}@224")
    cut = dataclasses.replace(dataset, train=stream, spec=dataclasses.replace(dataset.spec, num_train=count))
    config = TrainConfig(epochs=1, batch_size=batch, crop="resized")
    result = train(dataclasses.replace(model, num_classes=10), config, cut, seed=0)
    last = result.curve[-1]
    share = last.wait_s / last.seconds
    _say(
        f"\nViT-Ti/16, 224 px, batch {batch}: {count / last.seconds:.1f} images/s, {100 * share:.1f} % of the time "
        f"waiting for data; decoding alone {1000 * alone:.1f} ms an image in this process"
    )
    assert 0 <= share < 1
