"""MNIST's format from files that the tests write as its authors describe it (yann.lecun.com/exdb/mnist)."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vitbench.data import describe, load
from vitbench.utils.errors import UserError

FILES = {
    "train-images-idx3-ubyte": "train",
    "train-labels-idx1-ubyte": "train",
    "t10k-images-idx3-ubyte": "test",
    "t10k-labels-idx1-ubyte": "test",
}


def _idx(array: np.ndarray) -> bytes:
    return struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}i", *array.shape) + array.tobytes()


def _write(folder, content: dict[str, bytes], *, packed: bool = False):
    folder.mkdir(parents=True, exist_ok=True)
    for name, raw in content.items():
        (folder / (name + ".gz" * packed)).write_bytes(gzip.compress(raw) if packed else raw)


@pytest.fixture
def made():
    rng = np.random.default_rng(0)
    images = {"train": rng.integers(256, size=(100, 28, 28)).astype(np.uint8)}
    images["test"] = rng.integers(256, size=(40, 28, 28)).astype(np.uint8)
    labels = {part: (np.arange(len(array)) % 10).astype(np.uint8) for part, array in images.items()}
    raw = {name: _idx(images[part] if "images" in name else labels[part]) for name, part in FILES.items()}
    return images, labels, raw


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ["mnist", "fashion_mnist"])
def test_comes_back_as_written(tmp_path, made, kind, packed):
    images, labels, raw = made
    _write(tmp_path, raw, packed=packed)
    dataset = load(f"{kind}:{tmp_path}")
    spec = dataset.spec
    assert (spec.img_size, spec.in_chans, spec.num_classes) == (28, 1, 10)
    assert (spec.num_train, spec.num_val, spec.num_test) == (90, 10, 40)
    assert spec.classes[7] == {"mnist": "7", "fashion_mnist": "sneaker"}[kind]
    assert (spec.shift, spec.flip) == (True, kind == "fashion_mnist")
    assert torch.equal(dataset.test.images[:, 0], torch.from_numpy(images["test"]))
    assert dataset.test.labels.tolist() == labels["test"].tolist()
    written = {(image.tobytes(), int(y)) for image, y in zip(images["train"], labels["train"], strict=True)}
    read = {
        (image.numpy().tobytes(), int(y))
        for split in (dataset.train, dataset.val)
        for image, y in zip(split.images, split.labels, strict=True)
    }
    assert read == written
    assert spec == describe(f"{kind}:{tmp_path}")


@pytest.mark.parametrize(("kind", "folder"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")])
def test_torchvisions_layout_and_other_spellings_are_the_same_data(tmp_path, made, kind, folder):
    _write(tmp_path / "own", made[2])
    _write(tmp_path / "torchvision" / folder / "raw", made[2], packed=True)
    _write(tmp_path / "dots", {name.replace("-idx", ".idx"): raw for name, raw in made[2].items()})
    versions = {describe(f"{kind}:{tmp_path / name}").version for name in ("own", "torchvision", "dots")}
    assert len(versions) == 1


def test_torchvision_reads_the_same(tmp_path, made):
    torchvision = pytest.importorskip("torchvision", exc_type=ImportError)
    _write(tmp_path / "MNIST" / "raw", made[2])
    theirs = torchvision.datasets.MNIST(tmp_path, train=False)
    ours = load(f"mnist:{tmp_path}").test
    assert torch.equal(ours.images[:, 0], theirs.data)
    assert torch.equal(ours.labels, theirs.targets)


def test_the_version_follows_the_content(tmp_path, made):
    _write(tmp_path, made[2])
    before = describe(f"mnist:{tmp_path}").version
    file = tmp_path / "t10k-labels-idx1-ubyte"
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    assert describe(f"mnist:{tmp_path}").version != before


def test_no_such_folder(tmp_path):
    with pytest.raises(UserError, match=r"there is no folder .*train-images-idx3-ubyte"):
        load(f"mnist:{tmp_path}/nothing")


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_missing_file_is_named_with_where_it_may_lie(tmp_path, made, name):
    _write(tmp_path, {key: raw for key, raw in made[2].items() if key != name})
    with pytest.raises(UserError, match=f"lacks {name}: .*plain or .gz, there or in FashionMNIST/raw"):
        load(f"fashion_mnist:{tmp_path}")


def _damaged(raw: bytes, packed: bool, how: str) -> bytes:
    plain = {
        "wrong magic": struct.pack(">I", 0xD01) + raw[4:],
        "empty": b"",
        "head only": raw[:6],
        "too long": raw + b"\0",
        "no image": raw[:4] + struct.pack(">I", 0) + raw[8:16],
        "text": b"<!DOCTYPE html>",
        "half": raw[: len(raw) // 2],
    }.get(how, raw)
    if not packed:
        return plain
    whole = gzip.compress(plain, mtime=0)
    if how == "cut gz":
        return whole[: len(whole) // 2]
    if how == "flipped gz":
        return whole[:-8] + b"\0\0\0\0" + whole[-4:]
    return whole


@pytest.mark.parametrize(
    ("name", "packed"),
    [("train-images-idx3-ubyte", False), ("t10k-labels-idx1-ubyte", False), ("t10k-labels-idx1-ubyte", True)],
)
@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("wrong magic", "begins with 00000d01, not with 0000080[13]"),
        ("empty", "begins with nothing"),
        ("head only", "ends within its header"),
        ("too long", "has more than its .* bytes"),
        ("text", "begins with 3c21444f"),
        ("half", "has .* of .* bytes: it is truncated"),
    ],
)
def test_a_damaged_file_is_named_in_one_sentence(tmp_path, made, name, packed, how, sentence):  # noqa: PLR0917
    _write(tmp_path, made[2], packed=packed)
    (tmp_path / (name + ".gz" * packed)).write_bytes(_damaged(made[2][name], packed, how))
    with pytest.raises(UserError, match=f"{name}.*{sentence}") as caught:
        load(f"mnist:{tmp_path}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("how", ["cut gz", "flipped gz"])
def test_a_damaged_archive_is_named(tmp_path, made, how):
    _write(tmp_path, made[2], packed=True)
    name = "train-images-idx3-ubyte"
    (tmp_path / f"{name}.gz").write_bytes(_damaged(made[2][name], True, how))
    with pytest.raises(UserError, match=f"{name}.gz is damaged .*download it again"):
        load(f"mnist:{tmp_path}")


@pytest.mark.parametrize(
    ("name", "array", "sentence"),
    [
        ("t10k-labels-idx1-ubyte", np.full(40, 10, np.uint8), "has the label 10: there are 10 classes, 0 to 9"),
        ("t10k-labels-idx1-ubyte", np.zeros(39, np.uint8), "has 39 labels for 40 images"),
        ("t10k-images-idx3-ubyte", np.zeros((40, 28, 27), np.uint8), "images of 28×27: .*squares"),
        ("t10k-images-idx3-ubyte", np.zeros((40, 14, 14), np.uint8), "differ in size"),
    ],
)
def test_files_that_do_not_belong_together(tmp_path, made, name, array, sentence):
    _write(tmp_path, made[2] | {name: _idx(array)})
    with pytest.raises(UserError, match=sentence):
        load(f"mnist:{tmp_path}")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.one_of(st.binary(max_size=40), st.binary(max_size=24).map(lambda rest: b"\0\0\x08\x03" + rest)))
def test_no_bytes_end_in_anything_but_a_sentence(tmp_path, made, raw):
    _write(tmp_path, made[2] | {"train-images-idx3-ubyte": raw})
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte|has 100 labels"):
        load(f"mnist:{tmp_path}")
