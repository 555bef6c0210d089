"""Training from files is training from memory: same order, same augmentation, same weights."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from vitbench.data.dataset import Dataset, Split, make_dataset
from vitbench.data.files import Files
from vitbench.data.stream import Stream
from vitbench.declare.train import TrainConfig
from vitbench.declare.vit import ViTConfig
from vitbench.measure import accuracy
from vitbench.train import batch_loader, train
from vitbench.train.batch_loader import BatchLoader

SIZE = 16
VIT = ViTConfig(img_size=SIZE, patch_size=8, num_classes=3, embed_dim=16, depth=1, num_heads=2)
BRIEF = TrainConfig(epochs=2, batch_size=8)


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> tuple[Dataset, Dataset]:
    """The same 30 images of 16 px as files without loss, and in memory."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    labels = torch.arange(30) % 3
    paths = []
    for number, label in enumerate(labels.tolist()):
        pixels = rng.integers(0, 120, size=(SIZE, SIZE, 3), dtype=np.uint8)
        pixels[:, :, label] += 100
        paths.append(str(folder / f"{number}.png"))
        Image.fromarray(pixels).save(paths[-1])
    stream = Stream(Files.of(paths), labels, SIZE)
    split = Split(stream.take(torch.arange(30)), labels)
    memory = make_dataset(
        name="tiny", version="1", classes=("r", "g", "b"), train=split, val=split, test=split, shift=True, flip=True
    )
    return memory, dataclasses.replace(memory, train=stream, val=stream, test=stream)


@pytest.mark.parametrize(
    "settings", [{}, {"shift_px": 2, "rand_augment": 2, "erase": 0.3, "mixup": 0.8, "cutmix": 1.0}]
)
def test_a_stream_trains_to_the_same_weights_as_memory(both, settings):
    config = dataclasses.replace(BRIEF, **settings)
    stored, streamed = (train(VIT, config, data, seed=0) for data in both)
    for name, value in stored.model.state_dict().items():
        assert torch.equal(value, streamed.model.state_dict()[name]), name
    assert (stored.logits == streamed.logits).all()
    assert [e.val_loss for e in stored.curve] == [e.val_loss for e in streamed.curve]


def test_a_stream_is_cut_out_by_the_same_boxes(both):
    """And mirrored alike; Pillow rounds to bytes."""
    config = dataclasses.replace(BRIEF, crop="resized", crop_scale=(0.5, 1.0))
    stored, streamed = (torch.cat([x for x, _ in BatchLoader(d, config, seed=0, device="cpu").epoch()]) for d in both)
    assert stored.shape == streamed.shape == (24, 3, SIZE, SIZE)
    bytes_apart = (stored - streamed).abs() * both[0].std[:, None, None]
    assert bytes_apart.max() < 1.5


@pytest.mark.slow
def test_a_trial_of_files_measures_its_waiting(both, monkeypatch):
    found = accuracy.measure(VIT, BRIEF, both[1], seed=0)
    assert 0 < found.values["wait_share"] < 1
    assert found.arrays["attention_distance"].shape == (1, 2)
    assert found.arrays["labels"].tolist() == (torch.arange(30) % 3).tolist()
    slow = batch_loader.BatchLoader._epoch

    def delayed(self):
        for batch in slow(self):
            batch_loader.time.sleep(0.2)
            yield batch

    monkeypatch.setattr(batch_loader.BatchLoader, "_epoch", delayed)
    slower = accuracy.measure(VIT, BRIEF, both[1], seed=0)
    assert slower.values["wait_share"] > max(0.5, found.values["wait_share"])
    assert slower.values["train_seconds"] * slower.values["wait_share"] > 2 * 3 * 0.2


def test_processes_that_decode(monkeypatch):
    assert batch_loader.loaders("cpu") == 1
    for cores, expected in ((1, 1), (4, 3), (64, 8)):
        monkeypatch.setattr(batch_loader, "cores", lambda n=cores: n)
        assert batch_loader.loaders("cuda") == expected
