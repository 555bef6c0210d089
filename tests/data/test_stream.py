"""Streamed images against slices, other resizing code and what a folder in memory holds; workers, errors, memory."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from vitbench.data import Stream, load, stream
from vitbench.data.decode import decode
from vitbench.data.files import Files
from vitbench.utils.errors import UserError


def _smooth(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A picture without hard edges, (height, width, 3)."""
    coarse = torch.rand(1, 3, 5, 5, generator=torch.Generator().manual_seed(seed))
    fine = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)
    return (255 * fine[0].permute(1, 2, 0)).byte().numpy()


def _saved(folder, images, suffix="png") -> Stream:
    paths = []
    for i, image in enumerate(images):
        paths.append(f"{folder}/{i}.{suffix}")
        Image.fromarray(image).save(paths[-1])
    return Stream(Files.of(paths), torch.arange(len(images)) % 3, 16)


@pytest.fixture
def square(tmp_path) -> tuple[Stream, torch.Tensor]:
    images = np.random.default_rng(0).integers(256, size=(23, 32, 32, 3)).astype(np.uint8)
    return _saved(tmp_path, images), torch.from_numpy(images).permute(0, 3, 1, 2)


def _all(batches) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = zip(*batches, strict=True)
    return torch.cat(images), torch.cat(labels)


BOXES = torch.tensor([[i % 17 / 32, i % 13 / 32, 0.5, 0.5] for i in range(23)])


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("pipe", [False, True])
def test_boxes_cut_out_what_they_say_in_the_order_of_the_rows(square, workers, pipe, monkeypatch):
    if pipe:  # as in a container without shared memory
        monkeypatch.setattr(stream, "SHARED_MEMORY", "/nowhere")
    split, images = square
    rows = torch.randperm(23, generator=torch.Generator().manual_seed(1))
    sizes, seen = [], []
    for batch, labels in split.batches(rows, batch_size=5, boxes=BOXES, workers=workers, device="cpu"):
        assert (batch.dtype, labels.dtype) == (torch.uint8, torch.int64)
        sizes.append(len(batch))
        seen.append((batch, labels))
    assert sizes == [5, 5, 5, 5, 3]
    found, labels = _all(seen)
    assert labels.tolist() == [int(row) % 3 for row in rows]
    for image, row, i in zip(found, rows.tolist(), range(23), strict=True):
        top, left = i % 17, i % 13  # 16 pixels of 32: nothing to resize
        assert torch.equal(image, images[row, :, top : top + 16, left : left + 16])


def test_whatever_the_number_of_workers_the_result_is_the_same(tmp_path):
    split = _saved(tmp_path, [_smooth(60 + i, 90 - i, i) for i in range(11)], "jpg")
    boxes = torch.rand(11, 4, generator=torch.Generator().manual_seed(0)) / 2 + 0.05
    rows = torch.arange(11)
    results = [
        _all(split.batches(rows, batch_size=4, boxes=boxes, workers=workers, device="cpu")) for workers in (0, 1, 2)
    ]
    for images, labels in results[1:]:
        assert torch.equal(images, results[0][0])
        assert torch.equal(labels, results[0][1])


@pytest.mark.parametrize("workers", [0, 1])
def test_torchs_own_generator_is_left_alone(square, workers):
    torch.manual_seed(5)
    state = torch.get_rng_state()
    _all(square[0].batches(torch.arange(23), batch_size=8, boxes=None, workers=workers, device="cpu"))
    assert torch.equal(torch.get_rng_state(), state)


def test_a_few_rows_are_taken_as_they_are_streamed(square):
    split, _ = square
    rows = torch.tensor([7, 0, 7])
    streamed, _ = _all(split.batches(rows, batch_size=2, boxes=None, workers=0, device="cpu"))
    assert torch.equal(split.take(rows), streamed)


def test_no_rows_give_no_batch(square):
    none = torch.arange(0)
    assert not list(square[0].batches(none, batch_size=4, boxes=None, workers=2, device="cpu"))
    assert square[0].take(none).shape == (0, 3, 16, 16)


def test_a_subset_is_its_rows(square):
    split, _ = square
    part = split.subset(torch.tensor([4, 9]))
    assert len(part) == 2
    assert part.labels.tolist() == [1, 0]
    assert torch.equal(part.take(torch.arange(2)), split.take(torch.tensor([4, 9])))


def test_the_centre_is_cut_out_and_resized_as_torch_does(tmp_path):
    """Against torch's antialiased interpolation, another implementation."""
    images = [_smooth(48, 96), _smooth(120, 40), _smooth(8, 16)]
    split = _saved(tmp_path, images)
    for i, (height, width, top, left) in enumerate([(16, 32, 0, 8), (48, 16, 16, 0), (16, 32, 0, 8)]):
        whole = torch.from_numpy(images[i]).permute(2, 0, 1)[None].float()
        theirs = torch.nn.functional.interpolate(whole, (height, width), mode="bilinear", antialias=True)[0]
        ours = split.take(torch.tensor([i]))[0].float()
        assert (ours - theirs[:, top : top + 16, left : left + 16]).abs().max() <= 1.5


@pytest.mark.parametrize(
    ("shape", "box", "pixels"),
    [
        ((40, 40), (0.25, 0.5, 0.5, 0.25), (10, 20, 20, 10)),
        ((40, 90), (0.0, 0.0, 1.0, 1.0), (0, 25, 40, 40)),  # the whole: the square in the centre
        ((90, 40), (0.0, 0.0, 1.0, 1.0), (25, 0, 40, 40)),
        ((36, 64), (0.0, 0.0, 0.5, 0.5), (0, 0, 24, 24)),  # a quarter of the area, square, in the corner
        ((36, 64), (0.5, 0.5, 0.5, 0.5), (12, 40, 24, 24)),
        ((36, 64), (0.25, 0.25, 0.5, 0.5), (6, 20, 24, 24)),
        ((36, 64), (0.0, 0.5, 0.75, 0.5), (0, 40, 36, 24)),
        ((36, 64), (0.0, 0.5, 1.0, 0.5), (0, 46, 36, 18)),  # 48 high would not fit: smaller, as narrow as asked
    ],
)
def test_a_box_on_another_image_keeps_area_ratio_and_margins(tmp_path, shape, box, pixels):
    """Hand-worked: the cut is placed in a picture of coordinates and read off its corners."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    picture = np.stack([2 * rows, 2 * columns, 0 * rows], axis=2).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "0.png")
    top, left, height, width = pixels
    found = decode(str(tmp_path / "0.png"), 64, box).astype(float)[..., :2] / 2
    expected = Image.fromarray(picture).resize(
        (64, 64), Image.Resampling.BILINEAR, box=(left, top, left + width, top + height)
    )
    assert np.abs(found - np.asarray(expected).astype(float)[..., :2] / 2).max() <= 0.5


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(1, 60),
    st.integers(1, 60),
    st.tuples(*[st.floats(0, 1, width=32)] * 2),
    st.tuples(*[st.floats(0.015625, 1, width=32)] * 2),
)
def test_any_box_on_any_image_gives_a_square(tmp_path, height, width, place, size):
    Image.fromarray(np.full((height, width, 3), 77, dtype=np.uint8)).save(tmp_path / "0.bmp")
    corner = [offset * (1 - share) for offset, share in zip(place, size, strict=True)]
    found = decode(str(tmp_path / "0.bmp"), 16, (*corner, *size))
    assert found.shape == (16, 16, 3)
    assert (found == 77).all()


def test_a_large_jpeg_is_decoded_small_and_looks_the_same(tmp_path, monkeypatch):
    image = Image.fromarray(_smooth(1200, 1600))
    image.save(tmp_path / "0.jpg", quality=95)
    quick = decode(str(tmp_path / "0.jpg"), 32).astype(float)
    decoded = []
    monkeypatch.setattr(JpegImageFile, "draft", lambda self, *_: decoded.append(self.size))
    whole = decode(str(tmp_path / "0.jpg"), 32).astype(float)
    assert decoded == [(1600, 1200)]
    assert np.abs(quick - whole).max() <= 3
    assert not np.array_equal(quick, whole)  # it was indeed decoded at another size


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("how", ["gone", "empty", "truncated"])
def test_a_broken_image_is_named_wherever_it_is_met(tmp_path, workers, how):
    split = _saved(tmp_path, [_smooth(40, 40, i) for i in range(12)], "jpg")
    file = tmp_path / "9.jpg"
    raw = file.read_bytes()
    file.unlink() if how == "gone" else file.write_bytes(b"" if how == "empty" else raw[: len(raw) // 2])
    batches = split.batches(torch.arange(12), batch_size=4, boxes=None, workers=workers, device="cpu")
    assert len(next(batches)[0]) == len(next(batches)[0]) == 4  # what came before is whole
    with pytest.raises(UserError, match=r"9\.jpg cannot be read as an image .*: repair or remove it$") as caught:
        next(batches)
    assert "\n" not in str(caught.value)


def test_workers_end_with_the_batches(square):
    import gc
    import multiprocessing

    before = set(multiprocessing.active_children())
    batches = square[0].batches(torch.arange(23), batch_size=2, boxes=None, workers=2, device="cpu")
    next(batches)
    assert len(set(multiprocessing.active_children()) - before) == 2
    del batches
    gc.collect()
    assert not set(multiprocessing.active_children()) - before


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"workers": -1}, {"boxes": torch.zeros(22, 4)}])
def test_impossible_requests_are_errors_of_the_caller(square, wrong):
    with pytest.raises(ValueError, match="for 23 rows"):
        square[0].batches(torch.arange(23), **{"batch_size": 4, "boxes": None, "workers": 0, "device": "cpu"} | wrong)


@given(st.lists(st.binary(min_size=1, max_size=12), min_size=1, max_size=20), st.data())
def test_paths_come_back_whatever_their_bytes(names, data):
    import os

    paths = [os.fsdecode(name) for name in names]
    files = Files.of(paths)
    assert [files[i] for i in range(len(files))] == paths
    rows = data.draw(st.lists(st.integers(0, len(paths) - 1), min_size=1))
    part = files.take(rows)
    assert [part[i] for i in range(len(part))] == [paths[row] for row in rows]


def test_mean_and_deviation_come_from_an_even_sample(tmp_path, monkeypatch):
    from vitbench.data import dataset

    for c in "ab":
        (tmp_path / c).mkdir()
        for i in range(15):
            Image.new("RGB", (8, 8), (i, 0, 100 if c == "a" else 0)).save(tmp_path / c / f"{i:02}.png")
    monkeypatch.setattr("vitbench.data.folder.IN_MEMORY", 0)
    every = load(f"folder:{tmp_path}")
    images = every.train.take(torch.arange(len(every.train))).double()
    assert torch.allclose(every.mean.double(), images.mean((0, 2, 3)), rtol=1e-6)
    assert torch.allclose(
        every.std.double(),
        torch.clamp(images.std((0, 2, 3), correction=0), min=0).where(
            images.std((0, 2, 3)) > 0, torch.ones(3).double()
        ),
        rtol=1e-6,
    )
    monkeypatch.setattr(dataset, "SAMPLE", 12)
    assert load(f"folder:{tmp_path}").mean[2].item() == 50  # half of the sample from each class


def _encoded(suffix: str, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(_smooth(20, 30)).save(file, suffix, **options)
    return file.getvalue()


ENCODED = {suffix: _encoded(suffix) for suffix in ("png", "jpeg", "gif", "bmp", "tiff", "webp", "ppm")}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(ENCODED)), st.data())
def test_damaged_bytes_are_an_image_or_a_sentence(tmp_path, suffix, data):
    raw = bytearray(ENCODED[suffix])
    for place, byte in data.draw(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=8)):
        raw[place % len(raw)] = byte
    (tmp_path / f"x.{suffix}").write_bytes(raw[: data.draw(st.integers(0, 3 * len(raw)))])
    said = "cannot be read as an image"
    try:
        assert decode(str(tmp_path / f"x.{suffix}"), 16).shape == (16, 16, 3)
    except UserError as error:
        said = str(error)
    assert "cannot be read as an image" in said
    assert "\n" not in said


def test_damaged_metadata_damage_no_pixel(tmp_path):
    """ImageNet has such files; Pillow warns, and warnings are errors here."""
    whole, exif = _encoded("jpeg", quality=90), Image.Exif()
    exif[0x0112], exif[0x010E] = 1, "a description that is cut off"
    damaged = bytearray(_encoded("jpeg", quality=90, exif=exif))
    start = damaged.index(b"Exif") + 6
    damaged[start + 8 : start + 10] = (damaged[start + 8 : start + 10])[::-1]  # another number of entries
    for name, raw in (("whole", whole), ("damaged", damaged)):
        (tmp_path / f"{name}.jpg").write_bytes(raw)
    with pytest.warns(UserWarning, match="EXIF"), Image.open(tmp_path / "damaged.jpg") as image:
        image.getexif()
    expected = decode(str(tmp_path / "whole.jpg"), 16)
    assert np.array_equal(decode(str(tmp_path / "damaged.jpg"), 16), expected)
