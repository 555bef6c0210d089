"""What reaches the model: each setting does its own thing and leaves the others' draws alone."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from vitbench.data.dataset import Split, make_dataset
from vitbench.declare.train import TrainConfig
from vitbench.train import batch_loader
from vitbench.train.batch_loader import BatchLoader

PLAIN = TrainConfig(epochs=1, batch_size=10, flip=False)


def _data(count=60, chans=3, size=12, *, allowed=True):
    images = torch.randint(1, 256, (count, chans, size, size), dtype=torch.uint8, generator=torch.Generator())
    split = Split(images, torch.arange(count) % 5)
    return make_dataset(
        name="noise", version="1", classes=tuple("abcde"), train=split, val=split, test=split, shift=allowed,
        flip=allowed,
    )  # fmt: skip


def _fed(data, seed=0, epochs=1, **settings):
    """Raw images and targets, epoch after epoch."""
    source = BatchLoader(data, dataclasses.replace(PLAIN, **settings), seed=seed, device="cpu")
    batches = [batch for _ in range(epochs) for batch in source.epoch()]
    images, targets = (torch.cat(x) for x in zip(*batches, strict=True))
    return images * data.std[:, None, None] + data.mean[:, None, None], targets


SETTINGS = {
    "flip": {"flip": True},
    "shift": {"shift_px": 2},
    "crop": {"crop": "resized", "crop_scale": (0.3, 0.9)},
    "rand_augment": {"rand_augment": 2},
    "erase": {"erase": 0.5},
    "mixup": {"mixup": 0.8},
    "cutmix": {"cutmix": 1.0},
    "both": {"mixup": 0.8, "cutmix": 1.0},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_each_setting_changes_images_and_keeps_the_order(name):
    data = _data()
    images, labels = _fed(data)
    changed, targets = _fed(data, **SETTINGS[name])
    assert (images - changed).abs().max() > 1
    if name in {"mixup", "cutmix", "both"}:
        assert targets.shape == (60, 5)
        torch.testing.assert_close(targets.sum(1), torch.ones(60))
        assert (targets.gather(1, labels[:, None]) > 0).double().mean() > 0.9
    else:
        assert torch.equal(targets, labels)


@pytest.mark.parametrize("name", SETTINGS)
def test_another_batch_size_or_chunk_changes_nothing_that_is_not_of_a_batch(monkeypatch, name):
    data = _data()
    whole, _ = _fed(data, epochs=2, **SETTINGS[name])
    monkeypatch.setattr(batch_loader, "AUGMENT_AT_ONCE", 20)
    assert torch.equal(_fed(data, epochs=2, **SETTINGS[name])[0], whole)
    if name not in {"mixup", "cutmix", "both", "erase"}:  # these are drawn batch by batch
        torch.testing.assert_close(_fed(data, epochs=2, batch_size=15, **SETTINGS[name])[0], whole)


def test_where_an_image_is_erased_is_the_same_in_any_batch():
    data = _data()
    plain = _fed(data)[0]
    one, two = ((_fed(data, erase=0.5, batch_size=size)[0] - plain).abs() > 1e-3 for size in (10, 12))
    assert (one == two).double().mean() > 0.99  # noise may fall on what was there


def test_a_setting_leaves_the_draws_of_the_others_alone():
    """With everything else on: without one of them the rest falls as it did."""
    data = _data()
    flipped = [_fed(data, flip=True, shift_px=2, **more)[0] for more in ({}, {"erase": 1e-9})]
    assert torch.equal(*flipped)
    generators = []
    for more in ({}, {"flip": True}, {"crop": "resized"}, {"mixup": 0.8}, {"rand_augment": 3}):
        source = BatchLoader(data, dataclasses.replace(PLAIN, erase=0.5, cutmix=1.0, **more), seed=0, device="cpu")
        list(source.epoch())
        streams = (source._order, source._erasing, source._noise)
        generators.append(([torch.rand(2, generator=g).tolist() for g in streams], source.mixer._cutmix.random()))
    assert all(drawn == generators[0] for drawn in generators)


def test_another_seed_or_epoch_draws_otherwise():
    data = _data()
    for name, settings in SETTINGS.items():
        first = _fed(data, **settings)[0]
        assert not torch.equal(first, _fed(data, seed=1, **settings)[0]), name
        assert not torch.equal(first, _fed(data, epochs=2, **settings)[0][60:]), name


def test_data_that_do_not_allow_it_are_left_alone():
    """Of all settings only mixing whole images is left, which mixes the labels with them."""
    data = _data(allowed=False)
    plain = _fed(data)[0]
    for name in ("flip", "shift", "crop", "rand_augment", "erase", "cutmix"):
        assert torch.equal(_fed(data, **SETTINGS[name])[0], plain), name
    assert torch.equal(_fed(data, **SETTINGS["both"])[0], _fed(data, **SETTINGS["mixup"])[0])


def test_grey_images_of_floats_are_moved_and_keep_their_range():
    data = _data(chans=1)
    grey = dataclasses.replace(data, train=Split(data.train.images.float() / 255, data.train.labels))
    images = _fed(dataclasses.replace(grey, mean=torch.zeros(1), std=torch.ones(1)), rand_augment=2)[0]
    assert images.max() <= 1
    assert images.min() >= 0


def test_accumulated_batches_come_as_one():
    data = _data()
    source = BatchLoader(data, dataclasses.replace(PLAIN, accumulate=3), seed=0, device="cpu")
    assert (source.batch_size, source.per_epoch) == (30, 2)
    assert torch.equal(_fed(data, accumulate=3)[0], _fed(data, batch_size=30)[0])


def test_waiting_is_measured(monkeypatch):
    source = BatchLoader(_data(), PLAIN, seed=0, device="cpu")
    clock = iter(range(100))
    monkeypatch.setattr(batch_loader.time, "perf_counter", lambda: float(next(clock)))
    assert len(list(source.epoch())) == 6
    assert source.wait_s == 7  # six batches, and that there is no seventh
