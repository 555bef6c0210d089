"""``npz:`` and ``python:``: arrays under documented names."""

from __future__ import annotations

import sys
import textwrap

import numpy as np
import pytest
import torch

from vitbench.data import describe, load
from vitbench.utils.errors import UserError

RNG = np.random.default_rng(0)
BYTES = RNG.integers(256, size=(60, 6, 6)).astype(np.uint8)
LABELS = np.arange(60) % 3


def _load(tmp_path, **arrays):
    np.savez(tmp_path / "data.npz", **arrays)
    return load(f"npz:{tmp_path / 'data.npz'}")


def test_one_pair_is_split_into_three(tmp_path):
    dataset = _load(tmp_path, images=BYTES, labels=LABELS)
    spec = dataset.spec
    assert (spec.num_train, spec.num_val, spec.num_test) == (48, 6, 6)
    assert (spec.img_size, spec.in_chans, spec.classes) == (6, 1, ("0", "1", "2"))
    assert (spec.shift, spec.flip) == (True, False)
    read = {
        image.numpy().tobytes(): int(y)
        for split in (dataset.train, dataset.val, dataset.test)
        for image, y in zip(split.images, split.labels, strict=True)
    }
    assert read == {image.tobytes(): int(y) for image, y in zip(BYTES, LABELS, strict=True)}
    assert describe(spec.name) == spec


@pytest.mark.parametrize("names", ["{part}_images {part}_labels", "x_{part} y_{part}"])
@pytest.mark.parametrize("parts", [("train", "test"), ("train", "val", "test")])
def test_given_splits_are_taken_as_they_are(tmp_path, names, parts):
    cut = dict(zip(parts, np.split(np.arange(60), [40, 50])[: len(parts)], strict=True))
    arrays = {}
    for part, rows in cut.items():
        images, labels = names.format(part=part).split()
        arrays |= {images: BYTES[rows], labels: LABELS[rows][:, None]}
    dataset = _load(tmp_path, **arrays)
    assert np.array_equal(dataset.test.images[:, 0].numpy(), BYTES[cut["test"]])
    expected = (40, 10, 10) if "val" in parts else (36, 4, 10)
    assert (len(dataset.train), len(dataset.val), len(dataset.test)) == expected


@pytest.mark.parametrize(
    ("images", "channels"),
    [(RNG.random((60, 6, 6, 4)), 4), (RNG.random((60, 13, 6, 6)), 13), (RNG.random((60, 6, 6)), 1)],
)
def test_channels_may_stand_first_or_last(tmp_path, images, channels):
    dataset = _load(tmp_path, images=images, labels=LABELS)
    assert dataset.train.images.shape == (48, channels, 6, 6)
    assert dataset.train.images.dtype == torch.float32
    first = images[0] if images.ndim == 3 else images[0, ..., 0] if channels == 4 else images[0, 0]
    every = torch.cat([dataset.train.images, dataset.val.images, dataset.test.images])[:, 0].numpy()
    assert any(np.array_equal(image, first.astype(np.float32)) for image in every)


@pytest.mark.parametrize(
    ("images", "dtype"),
    [
        (BYTES.astype(np.int64), torch.uint8),
        (BYTES > 100, torch.uint8),
        (BYTES.astype(np.int32) * 4, torch.float32),
        (BYTES.astype(np.int16) - 5, torch.float32),
        (BYTES.astype(np.float16), torch.float32),
    ],
)
def test_numbers_keep_their_values(tmp_path, images, dtype):
    dataset = _load(tmp_path, images=images, labels=LABELS)
    assert dataset.train.images.dtype == dtype
    every = torch.cat([dataset.train.images, dataset.val.images, dataset.test.images])
    assert every.double().sum().item() == images.astype(np.float64).sum()


def test_names_and_permissions_are_read(tmp_path):
    spec = _load(
        tmp_path, images=BYTES, labels=LABELS, classes=["kočka", "<b>", "c"], shift=np.False_, flip=np.True_
    ).spec
    assert (spec.classes, spec.shift, spec.flip) == (("kočka", "<b>", "c"), False, True)


def test_the_version_follows_the_content(tmp_path):
    before = _load(tmp_path, images=BYTES, labels=LABELS).spec.version
    assert _load(tmp_path, images=BYTES, labels=LABELS).spec.version == before
    other = BYTES.copy()
    other[0, 0, 0] += 1
    versions = {
        before,
        _load(tmp_path, images=other, labels=LABELS).spec.version,
        _load(tmp_path, images=BYTES, labels=LABELS[::-1]).spec.version,
        _load(tmp_path, images=BYTES, labels=LABELS, classes=["a", "b", "c"]).spec.version,
    }
    assert len(versions) == 4


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"images": BYTES}, r"contains images: give images and labels, or train_images"),
        ({}, "contains nothing: give images and labels"),
        ({"images": BYTES[:, :5], "labels": LABELS}, r"images has shape \(60, 5, 6\)"),
        ({"images": BYTES[0], "labels": LABELS}, r"images has shape \(6, 6\)"),
        ({"images": BYTES[:0], "labels": LABELS[:0]}, "at least one image"),
        ({"images": np.full((60, 6, 6), np.nan), "labels": LABELS}, "values that are not finite"),
        ({"images": BYTES.astype(str), "labels": LABELS}, "contains <U3"),
        ({"images": BYTES, "labels": LABELS[:59]}, "has 59 labels for 60 images"),
        ({"images": BYTES, "labels": np.eye(3)[LABELS]}, r"labels is \(60, 3\) float64: give one integer"),
        ({"images": BYTES, "labels": LABELS - 1}, "the label -1 in train: there are 2 classes, 0 to 1"),
        ({"images": BYTES, "labels": LABELS, "classes": ["a", "b"]}, "the label 2 in train: there are 2 classes"),
        ({"images": BYTES, "labels": LABELS * 0}, "has one class: give at least two"),
        ({"images": BYTES, "labels": LABELS * 2}, "has classes without training images: 1, 3"),
        ({"images": BYTES[:5], "labels": LABELS[:5]}, "has 5 training images: give at least 10"),
        ({"images": BYTES, "labels": LABELS, "classes": ["a", "a", "b"]}, "distinct names"),
        (
            {"images": BYTES, "labels": LABELS, "flip": np.array([1.0])},
            r"flip is \(1,\) float64: give True or False",
        ),
        (
            {"x_train": BYTES, "y_train": LABELS, "x_test": BYTES, "y_test": LABELS, "x_val": BYTES},
            "lacks y_val: give both or none of x_val, y_val",
        ),
        (
            {"x_train": BYTES, "y_train": LABELS, "x_test": BYTES / 255, "y_test": LABELS},
            "images that differ between the splits",
        ),
        (
            {"x_train": BYTES, "y_train": LABELS, "x_test": BYTES, "y_test": LABELS + 1},
            "the label 3 in test: there are 3 classes, 0 to 2",
        ),
    ],
)
def test_other_arrays_are_explained(tmp_path, arrays, sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        _load(tmp_path, **arrays)
    assert str(caught.value).startswith(f"npz: {tmp_path}/data.npz")
    assert "\n" not in str(caught.value)


def test_pickled_objects_are_refused_and_not_run(tmp_path):
    marker = tmp_path / "owned"

    class Malicious:
        def __reduce__(self):
            import os

            return os.mkdir, (str(marker),)

    with pytest.raises(UserError, match=r"cannot be read .*allow_pickle=False"):
        _load(tmp_path, images=BYTES, labels=np.array([Malicious()] * 60, dtype=object))
    assert not marker.exists()


def test_files_that_are_no_archive(tmp_path):
    file = tmp_path / "data.npz"
    np.savez(file, images=BYTES, labels=LABELS)
    raw = file.read_bytes()
    for broken in (b"", b"text", raw[: len(raw) // 2]):
        file.write_bytes(broken)
        with pytest.raises(UserError, match=r"data\.npz cannot be read"):
            load(f"npz:{file}")
    with (tmp_path / "one.npy").open("wb") as one:
        np.save(one, BYTES)
    with pytest.raises(UserError, match="one unnamed array"):
        load(f"npz:{tmp_path / 'one.npy'}")
    with pytest.raises(UserError, match="there is no file"):
        load(f"npz:{tmp_path / 'none.npz'}")


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module beside the ablation file."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_own_data.py").write_text(
        textwrap.dedent(
            """
            import dataclasses
            import numpy as np
            from vitbench.data import load

            def arrays():
                images = np.arange(60 * 36, dtype=np.uint8).reshape(60, 6, 6)
                return {"images": images, "labels": np.arange(60) % 3, "flip": True}

            def dataset():
                return load("quadrant")

            def wrong_spec():
                made = load("quadrant")
                return dataclasses.replace(made, spec=dataclasses.replace(made.spec, num_classes=3))

            def raises():
                return 1 / 0

            def nothing():
                pass
            """
        )
    )
    yield "my_own_data"
    sys.modules.pop("my_own_data", None)


def test_a_function_may_return_arrays(module):
    dataset = load(f"python:{module}:arrays")
    assert dataset.spec.name == "python:my_own_data:arrays"
    assert (dataset.spec.num_train, dataset.spec.flip) == (48, True)
    assert describe(dataset.spec.name) == dataset.spec


def test_a_function_may_return_a_dataset(module):
    dataset, source = load(f"python:{module}:dataset"), load("quadrant")
    assert dataset.spec.name == "python:my_own_data:dataset"
    assert dataset.spec.version.startswith(f"{source.spec.version}-")
    assert torch.equal(dataset.test.images, source.test.images)
    assert load(f"python:{module}:dataset").spec == dataset.spec


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("my_own_data", "names no function: write python:package.module:function"),
        ("my_own_data:", "names no function"),
        ("no_such_module:f", "no module 'no_such_module': .*no_such_module.py beside the ablation file"),
        ("my_own_data:arays", "unknown function of my_own_data 'arays': .*did you mean 'arrays'"),
        ("my_own_data:raises", "raised ZeroDivisionError: division by zero"),
        ("my_own_data:nothing", "returned NoneType: return a vitbench.data.Dataset, or a dict with images and labels"),
        ("my_own_data:wrong_spec", "labels of train must be int64 from 0 to 2"),
    ],
)
def test_other_functions_are_explained(module, path, sentence):
    with pytest.raises(UserError, match=sentence):
        load(f"python:{path}")
