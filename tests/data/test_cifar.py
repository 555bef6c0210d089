"""CIFAR from files that the tests write as Python 2 wrote the official ones."""

from __future__ import annotations

import io
import os
import pickle
from typing import ClassVar

import numpy as np
import pytest
import torch

from vitbench.data import describe, load, safe_pickle
from vitbench.utils.errors import UserError


class _Python2Pickler(pickle._Pickler):
    """Protocol 2 with Python 2's string opcodes, in which the official files hold keys, labels and pixels."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def _string(self, value):
        self.write(pickle.BINSTRING + len(value).to_bytes(4, "little") + value)

    dispatch[bytes] = _string
    dispatch[str] = lambda self, value: self._string(value.encode("latin1"))


def _python2(value: object) -> bytes:
    file = io.BytesIO()
    _Python2Pickler(file, protocol=2).dump(value)
    return file.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def _batch(rng, count: int, classes: int, key: bytes) -> dict[bytes, object]:
    return {
        b"data": rng.integers(256, size=(count, 3072)).astype(np.uint8),
        key: [i % classes for i in range(count)],
        b"batch_label": b"testing batch 1 of 1",
    }


@pytest.fixture(params=[_python2, lambda value: pickle.dumps(value, 2), lambda value: pickle.dumps(value, 4)])
def dump(request):
    return request.param


@pytest.fixture
def cifar10(tmp_path, dump):
    rng = np.random.default_rng(0)
    root = tmp_path / "cifar-10-batches-py"
    root.mkdir()
    content = {f"data_batch_{i}": _batch(rng, 20, 10, b"labels") for i in range(1, 6)}
    content["test_batch"] = _batch(rng, 30, 10, b"labels")
    names = b"airplane automobile bird cat deer dog frog horse ship truck".split()
    content["batches.meta"] = {b"label_names": names, b"num_vis": 3072}
    for file, value in content.items():
        (root / file).write_bytes(dump(value))
    return tmp_path, content


def test_cifar10_comes_back_as_written(cifar10):
    path, content = cifar10
    dataset = load(f"cifar10:{path}")
    assert (dataset.spec.img_size, dataset.spec.in_chans, dataset.spec.num_classes) == (32, 3, 10)
    assert (dataset.spec.num_train, dataset.spec.num_val, dataset.spec.num_test) == (90, 10, 30)
    assert dataset.spec.classes[3] == "cat"
    assert (dataset.spec.shift, dataset.spec.flip) == (True, True)
    red_first = content["test_batch"][b"data"][7].reshape(3, 32, 32)
    assert torch.equal(dataset.test.images[7], torch.from_numpy(red_first))
    assert dataset.test.labels.tolist() == content["test_batch"][b"labels"]
    written = {row.tobytes() for i in range(1, 6) for row in content[f"data_batch_{i}"][b"data"]}
    read = {image.numpy().tobytes() for split in (dataset.train, dataset.val) for image in split.images}
    assert read == written


def test_both_paths_mean_the_same_data(cifar10):
    path, _ = cifar10
    outer, inner = describe(f"cifar10:{path}"), describe(f"cifar10:{path}/cifar-10-batches-py")
    assert outer.version == inner.version


def test_cifar100_takes_the_fine_labels(tmp_path, dump):
    rng = np.random.default_rng(0)
    for file, count in (("train", 400), ("test", 200)):
        batch = _batch(rng, count, 100, b"fine_labels") | {b"coarse_labels": [0] * count}
        (tmp_path / file).write_bytes(dump(batch))
    meta = {b"fine_label_names": [f"fine{i}".encode() for i in range(100)], b"coarse_label_names": [b"all"]}
    (tmp_path / "meta").write_bytes(dump(meta))
    dataset = load(f"cifar100:{tmp_path}")
    assert dataset.spec.num_classes == 100
    assert dataset.test.labels.tolist() == [i % 100 for i in range(200)]


def test_the_version_follows_the_content(cifar10):
    path, content = cifar10
    before = describe(f"cifar10:{path}").version
    content["test_batch"][b"labels"][0] = 9
    (path / "cifar-10-batches-py" / "test_batch").write_bytes(_python2(content["test_batch"]))
    assert describe(f"cifar10:{path}").version != before


def test_no_such_folder(tmp_path):
    with pytest.raises(UserError, match="there is no folder"):
        load(f"cifar10:{tmp_path}/nothing")


def test_a_missing_file_is_named(cifar10):
    path, _ = cifar10
    (path / "cifar-10-batches-py" / "data_batch_4").unlink()
    with pytest.raises(UserError, match="lacks data_batch_4"):
        load(f"cifar10:{path}")


def test_a_truncated_file_is_named(cifar10):
    path, _ = cifar10
    file = path / "cifar-10-batches-py" / "data_batch_2"
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(UserError, match="data_batch_2"):
        load(f"cifar10:{path}")


@pytest.mark.parametrize(
    "batch",
    [
        [1, 2, 3],
        {b"labels": [0]},
        {b"data": np.zeros((2, 100), np.uint8), b"labels": [0, 1]},
        {b"data": np.zeros((2, 3072), np.uint8), b"labels": [0]},
        {b"data": np.zeros((2, 3072), np.uint8), b"labels": [0, 10]},
    ],
    ids=["no dict", "no data", "other shape", "a label short", "label out of range"],
)
def test_a_file_of_another_kind_is_named(cifar10, batch):
    path, _ = cifar10
    (path / "cifar-10-batches-py" / "test_batch").write_bytes(_python2(batch))
    with pytest.raises(UserError, match="test_batch"):
        load(f"cifar10:{path}")


class _Malicious:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(cifar10, tmp_path, protocol):
    path, _ = cifar10
    marker = tmp_path / "owned"
    (path / "cifar-10-batches-py" / "test_batch").write_bytes(pickle.dumps({b"x": _Malicious(marker)}, protocol))
    with pytest.raises(UserError, match=r"test_batch is unsafe to read: it refers to .*mkdir"):
        load(f"cifar10:{path}")
    assert not marker.exists()


@pytest.mark.parametrize(
    "raw", [b"cbuiltins\neval\n(S'1'\ntR.", b"cnumpy\nload\n.", b"c_codecs\nencode\n(Vx\nVzip_codec\ntR."]
)
def test_only_plain_data_pass(raw):
    with pytest.raises(pickle.UnpicklingError):
        safe_pickle.loads(raw)
