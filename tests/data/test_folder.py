from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from PIL import Image

from vitbench.data import Split, Stream, cache, decode, describe, folder, load, stream
from vitbench.utils.errors import UserError


def _write(folder, name: str, *, size=(8, 8), seed=0, mode="RGB", suffix="png"):
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(256, size=(size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(folder / f"{name}.{suffix}")
    return pixels


def _fill(root, classes=("cat", "dog"), count=10, first=0, **kwargs):
    for c, name in enumerate(classes):
        for i in range(count):
            _write(root / name, f"{i}", seed=first + 1000 * c + i, **kwargs)


def _contents(split) -> set[bytes]:
    return {image.numpy().tobytes() for image in split.images}


def test_one_folder_is_split_into_three(tmp_path):
    _fill(tmp_path, count=20)
    dataset = load(f"folder:{tmp_path}")
    spec = dataset.spec
    assert (spec.num_train, spec.num_val, spec.num_test) == (32, 4, 4)
    assert (spec.img_size, spec.in_chans, spec.classes) == (8, 3, ("cat", "dog"))
    assert (spec.shift, spec.flip, spec.chance) == (True, True, 0.5)
    parts = [_contents(split) for split in (dataset.train, dataset.val, dataset.test)]
    assert [len(part) for part in parts] == [32, 4, 4]
    assert len(set.union(*parts)) == 40
    assert describe(f"folder:{tmp_path}") == spec


def test_pixels_and_labels_come_back_as_written(tmp_path):
    written = {
        _write(tmp_path / name, str(i), seed=100 * c + i).transpose(2, 0, 1).tobytes(): c
        for c, name in enumerate(("a", "b"))
        for i in range(8)
    }
    dataset = load(f"folder:{tmp_path}")
    read = {
        image.numpy().tobytes(): int(label)
        for split in (dataset.train, dataset.val, dataset.test)
        for image, label in zip(split.images, split.labels, strict=True)
    }
    assert read == written


@pytest.mark.parametrize("held_out", ["val", "test"])
def test_the_only_held_out_folder_is_the_test_split(tmp_path, held_out):
    _fill(tmp_path / "train", count=20)
    _fill(tmp_path / held_out, count=3, first=500)
    dataset = load(f"folder:{tmp_path}")
    assert (dataset.spec.num_train, dataset.spec.num_val, dataset.spec.num_test) == (36, 4, 6)
    assert not _contents(dataset.test) & (_contents(dataset.train) | _contents(dataset.val))


def test_three_folders_are_taken_as_they_are(tmp_path):
    for first, (part, count) in enumerate({"train": 6, "val": 2, "test": 3}.items()):
        _fill(tmp_path / part, count=count, first=100 * first)
    spec = describe(f"folder:{tmp_path}")
    assert (spec.num_train, spec.num_val, spec.num_test) == (12, 4, 6)


def test_statistics_come_from_the_training_split_alone(tmp_path):
    for value, part in ((10, "train"), (200, "val"), (250, "test")):
        for name in ("a", "b"):
            (tmp_path / part / name).mkdir(parents=True)
            for i in range(6):
                Image.new("RGB", (8, 8), (value, value, i)).save(tmp_path / part / name / f"{i}.png")
    assert load(f"folder:{tmp_path}").mean.tolist() == [10.0, 10.0, 2.5]


def test_classes_are_in_natural_order(tmp_path):
    _fill(tmp_path, classes=("class10", "class2", "class1"), count=4)
    assert describe(f"folder:{tmp_path}").classes == ("class1", "class2", "class10")


def test_other_files_are_left_alone(tmp_path):
    _fill(tmp_path, count=6)
    (tmp_path / "README.md").write_text("mine")
    (tmp_path / "cat" / "Thumbs.db").write_bytes(b"\0")
    (tmp_path / ".cache").mkdir()
    (tmp_path / "cat" / "._0.png").write_bytes(b"\0")
    assert describe(f"folder:{tmp_path}").num_train == 10


@pytest.mark.parametrize(
    ("sizes", "suffix", "expected"),
    [
        ([(16, 16)], "", 16),
        ([(64, 64)], "", 64),
        ([(80, 80)], "", 64),
        ([(16, 12)], "", 64),
        ([(16, 16), (12, 12)], "", 64),
        ([(16, 16)], "@32", 32),
        ([(90, 40)], "@20", 20),
    ],
)
def test_size(tmp_path, sizes, suffix, expected):
    for i in range(12):
        _write(tmp_path / "ab"[i % 2], str(i), size=sizes[i % len(sizes)], seed=i)
    dataset = load(f"folder:{tmp_path}{suffix}")
    assert dataset.spec.img_size == expected
    assert dataset.train.images.shape[2:] == (expected, expected)


def test_the_centre_is_cut_out(tmp_path):
    image = np.zeros((8, 16, 3), dtype=np.uint8)
    image[:, 4:12] = 255  # the middle square is white, what is cut off black
    for i in range(12):
        (tmp_path / "ab"[i % 2]).mkdir(exist_ok=True)
        Image.fromarray(image).save(tmp_path / "ab"[i % 2] / f"{i}.png")
    assert (load(f"folder:{tmp_path}@8").train.images == 255).all()


def test_a_folder_whose_name_ends_like_a_size(tmp_path):
    _fill(tmp_path / "images@32", count=6)
    assert describe(f"folder:{tmp_path}/images@32").img_size == 8


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "LA", "CMYK"])
def test_every_kind_of_image_becomes_rgb(tmp_path, mode):
    _fill(tmp_path, count=6, mode=mode, suffix="tif" if mode == "CMYK" else "png")
    assert load(f"folder:{tmp_path}").train.images.shape[1] == 3


def test_sixteen_bits_keep_their_brightness(tmp_path):
    for i in range(12):
        (tmp_path / "ab"[i % 2]).mkdir(exist_ok=True)
        Image.fromarray(np.full((8, 8), 0x4000 + i, dtype=np.uint16)).save(tmp_path / "ab"[i % 2] / f"{i}.png")
    assert (load(f"folder:{tmp_path}").train.images == 0x40).all()


def test_a_photo_taken_upright_stands_upright(tmp_path):
    image = Image.new("RGB", (8, 8))
    image.paste((255, 255, 255), (0, 0, 8, 4))  # upper half white
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90° clockwise to see it: the left half was the upper
    for i in range(12):
        (tmp_path / "ab"[i % 2]).mkdir(exist_ok=True)
        image.save(tmp_path / "ab"[i % 2] / f"{i}.png", exif=exif)
    assert torch.equal(load(f"folder:{tmp_path}").train.images[0, 0, 0], torch.tensor([0] * 4 + [255] * 4).byte())


def test_a_new_image_moves_few_others(tmp_path):
    _fill(tmp_path, count=50)
    before = load(f"folder:{tmp_path}")
    _write(tmp_path / "cat", "new", seed=9999)
    after = load(f"folder:{tmp_path}")
    assert before.spec.version != after.spec.version
    assert len(_contents(before.test) & _contents(after.test)) >= len(before.test) - 2


def test_the_version_follows_names_pixels_and_size(tmp_path):
    _fill(tmp_path / "one", count=6)
    _fill(tmp_path / "two", count=6)
    versions = [describe(f"folder:{tmp_path}/{name}").version for name in ("one", "two", "two@16")]
    _write(tmp_path / "two" / "cat", "3", seed=77)
    versions.append(describe(f"folder:{tmp_path}/two").version)
    assert versions[0] == versions[1]
    assert len(set(versions)) == 3


def _spoil(path, how: str):
    raw = path.read_bytes()
    path.write_bytes({"truncated": raw[: len(raw) // 2], "text": b"no image", "empty": b""}[how])


@pytest.mark.parametrize("how", ["truncated", "text", "empty"])
@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "webp"])
def test_a_file_that_is_no_complete_image_is_named(tmp_path, suffix, how):
    _fill(tmp_path, count=6, suffix=suffix, size=(40, 40))
    _spoil(tmp_path / "dog" / f"4.{suffix}", how)
    with pytest.raises(UserError, match=rf"dog/4\.{suffix} cannot be read as an image .*repair or remove it"):
        load(f"folder:{tmp_path}")


def test_an_image_too_large_to_be_one_is_named(tmp_path, monkeypatch):
    _fill(tmp_path, count=6)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)
    with pytest.raises(UserError, match=r"0\.png cannot be read as an image"):
        load(f"folder:{tmp_path}")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: None, "has no images in subfolders"),
        (lambda root: _write(root, "loose"), "has no images in subfolders"),
        (lambda root: _fill(root, classes=("cat",), count=20), "has one class, 'cat'"),
        (lambda root: (_fill(root), (root / "owl").mkdir()), "classes without images: owl"),
        (lambda root: _fill(root, count=2), "has 4 images: give at least 10"),
        (lambda root: _fill(root / "train"), "has train/ but no val/ or test/"),
        (
            lambda root: (_fill(root / "train"), _fill(root / "val", classes=("cat", "owl"))),
            "have different classes: dog, owl",
        ),
    ],
)
def test_bad_folders_are_explained(tmp_path, make, message):
    make(tmp_path)
    with pytest.raises(UserError, match=message):
        load(f"folder:{tmp_path}")


def test_no_such_folder(tmp_path):
    with pytest.raises(UserError, match="there is no folder"):
        load(f"folder:{tmp_path}/nothing")


@pytest.mark.parametrize("size", [0, 100_000])
def test_impossible_sizes(tmp_path, size):
    with pytest.raises(UserError, match=f"size {size} .*give 1 to 1024"):
        load(f"folder:{tmp_path}/x@{size}")


def test_a_folder_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    _fill(tmp_path, count=6)

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match=r"cannot be read .*Permission denied.*check its permissions"):
        load(f"folder:{tmp_path}")


def _streamed(name: str, monkeypatch):
    """The data set as it would be if it were large."""
    with monkeypatch.context() as patch:
        patch.setattr(folder, "IN_MEMORY", 0)
        return load(name)


@pytest.mark.parametrize("suffix", ["", "@8", "@24"])
def test_streamed_or_in_memory_it_is_the_same(tmp_path, monkeypatch, suffix):
    for i in range(24):
        _write(tmp_path / "abc"[i % 3], str(i), size=(10 + i, 30 - i), seed=i, suffix="jpg" if i % 2 else "png")
    name = f"folder:{tmp_path}{suffix}"
    kept, streamed = load(name), _streamed(name, monkeypatch)
    assert streamed.spec == kept.spec
    assert torch.equal(streamed.mean, kept.mean)
    assert torch.equal(streamed.std, kept.std)
    for part in ("train", "val", "test"):
        split, source = getattr(kept, part), getattr(streamed, part)
        assert isinstance(split, Split)
        assert isinstance(source, Stream)
        assert torch.equal(source.labels, split.labels)
        assert torch.equal(source.take(torch.arange(len(source))), split.images)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_however_many_processes_read_it_the_result_is_the_same(tmp_path, monkeypatch, workers):
    for i in range(120):
        _write(tmp_path / "abc"[i % 3], f"{i:03}", size=(20 + i, 30), seed=i, suffix="jpg" if i % 2 else "png")
    alone = load(f"folder:{tmp_path}")
    monkeypatch.setattr(folder, "CACHED_FROM", 0)  # as large folders are read
    monkeypatch.setattr(decode, "HEADERS_AT_ONCE", 7)
    monkeypatch.setattr(folder, "_workers", lambda: workers)
    together = load(f"folder:{tmp_path}")
    assert together.spec == alone.spec
    assert torch.equal(together.mean, alone.mean)
    assert torch.equal(together.std, alone.std)
    for part in ("train", "val", "test"):
        assert torch.equal(getattr(together, part).images, getattr(alone, part).images)
        assert torch.equal(getattr(together, part).labels, getattr(alone, part).labels)
    for name in ("c/116.png", "b/091.jpg", "b/115.jpg"):
        (tmp_path / name).write_bytes(b"no image")
    with pytest.raises(UserError, match=r"b/091\.jpg cannot be read as an image .*: repair or remove it$"):
        load(f"folder:{tmp_path}")


def test_what_would_take_more_than_a_gibibyte_is_streamed(tmp_path):
    for i in range(400):
        (tmp_path / "ab"[i % 2]).mkdir(exist_ok=True)
        (tmp_path / "ab"[i % 2] / f"{i}.ppm").write_bytes(b"P6 1 1 255 \0\0\0")
    assert 400 * 3 * 1024**2 > 2**30
    assert not folder._find("folder", f"{tmp_path}@1024").in_memory
    assert folder._find("folder", f"{tmp_path}@900").in_memory


def test_describing_decodes_nothing(tmp_path, monkeypatch):
    _fill(tmp_path, count=6)
    expected = load(f"folder:{tmp_path}").spec
    monkeypatch.setattr(stream, "decode", None)
    assert describe(f"folder:{tmp_path}") == expected


@pytest.mark.parametrize("how", ["text", "empty"])
def test_a_file_whose_header_is_broken_is_named_before_anything_is_decoded(tmp_path, monkeypatch, how):
    _fill(tmp_path, count=6)
    _spoil(tmp_path / "dog" / "4.png", how)
    monkeypatch.setattr(stream, "decode", None)
    with pytest.raises(UserError, match=r"dog/4\.png cannot be read as an image .*repair or remove it"):
        describe(f"folder:{tmp_path}")


def test_many_empty_files_are_counted(tmp_path):
    _fill(tmp_path, count=6)
    for i in range(6):
        (tmp_path / "dog" / f"{i}.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"dog/0\.png, .*dog/2\.png and 3 more cannot be read .*0 bytes"):
        describe(f"folder:{tmp_path}")


def test_a_truncated_image_of_a_stream_is_named_when_it_is_met(tmp_path, monkeypatch):
    _fill(tmp_path, count=20, size=(40, 40), suffix="jpg")
    whole = _streamed(f"folder:{tmp_path}", monkeypatch)
    row = next(i for i in range(len(whole.train)) if whole.train.files[i].endswith("dog/11.jpg"))
    _spoil(tmp_path / "dog" / "11.jpg", "truncated")
    batches = whole.train.batches(torch.tensor([0, row]), batch_size=1, boxes=None, workers=1, device="cpu")
    next(batches)
    with pytest.raises(UserError, match=r"dog/11\.jpg cannot be read as an image .*truncated"):
        next(batches)


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize(
    "name", ["kočka", "猫", "<script>alert(1)<", "a b", "new\nline", "'\"&;$(x)", "-rf", "100%", b"\xff\xfe"], ids=ascii
)
def test_any_name_will_do(tmp_path, monkeypatch, name, large):
    text = os.fsdecode(name)
    if large:
        monkeypatch.setattr(folder, "IN_MEMORY", 0)
    _fill(tmp_path / text, classes=(text, "dog"), count=6)
    for image in sorted((tmp_path / text / text).iterdir()):
        image.rename(image.with_name(f"{text}{image.name}"))
    dataset = load(f"folder:{tmp_path / text}")
    assert dataset.train.take(torch.arange(2)).shape == (2, 3, 8, 8)
    shown = text if isinstance(name, str) else r"\udcff\udcfe"
    assert set(dataset.spec.classes) == {"dog", shown}
    dataset.spec.classes[0].encode()  # what a report writes
    (tmp_path / text / text / f"{text}0.png").write_bytes(b"text")
    with pytest.raises(UserError, match="cannot be read as an image") as caught:
        load(f"folder:{tmp_path / text}")
    str(caught.value).encode()  # what a terminal prints


def test_mixed_modes_and_sizes_of_one_folder(tmp_path, monkeypatch):
    for i, mode in enumerate(("L", "RGBA", "P", "1", "LA", "RGB", "CMYK", "I;16", "F", "YCbCr") * 2):
        suffix = {"CMYK": "tif", "F": "tiff", "YCbCr": "jpg"}.get(mode, "png")
        (tmp_path / "ab"[i % 2]).mkdir(exist_ok=True)
        if mode in ("I;16", "F"):
            array = np.full((9 + i, 30 - i), 40, dtype=np.uint16 if mode == "I;16" else np.float32)
            Image.fromarray(array).save(tmp_path / "ab"[i % 2] / f"{i}.{suffix}")
        else:
            _write(tmp_path / "ab"[i % 2], str(i), size=(9 + i, 30 - i), seed=i, mode=mode, suffix=suffix)
    assert load(f"folder:{tmp_path}").train.images.shape == (16, 3, 64, 64)
    assert len(_streamed(f"folder:{tmp_path}", monkeypatch).train) == 16


def test_images_in_deeper_folders_belong_to_their_class(tmp_path):
    _fill(tmp_path, count=6)
    _write(tmp_path / "cat" / "black" / "old", "tom", seed=5)
    _write(tmp_path / "cat" / ".thumbnails", "0", seed=6)
    (tmp_path / "owl").symlink_to(tmp_path / "cat" / "black")
    spec = describe(f"folder:{tmp_path}")
    assert spec.classes == ("cat", "dog", "owl")
    assert spec.num_train + spec.num_val + spec.num_test == 14


def test_a_link_to_nothing_is_named(tmp_path):
    _fill(tmp_path, count=6)
    (tmp_path / "cat" / "gone.png").symlink_to("nowhere.png")
    with pytest.raises(UserError, match=r"gone\.png"):
        describe(f"folder:{tmp_path}")


def test_a_large_folder_is_decoded_once(tmp_path, monkeypatch):
    _fill(tmp_path, count=6)
    monkeypatch.setattr(folder, "CACHED_FROM", 0)
    first = load(f"folder:{tmp_path}")
    with monkeypatch.context() as patch:
        patch.setattr(stream, "decode", None)
        again = load(f"folder:{tmp_path}")
    assert again.spec == first.spec
    for split, same in zip((first.train, first.val, first.test), (again.train, again.val, again.test), strict=True):
        assert torch.equal(split.images, same.images)
        assert torch.equal(split.labels, same.labels)
    for _ in range(2):  # the statistics of a stream are kept apart from the images
        assert torch.equal(_streamed(f"folder:{tmp_path}", monkeypatch).mean, first.mean)
    _write(tmp_path / "dog", "3", seed=99)
    changed = load(f"folder:{tmp_path}")
    assert changed.spec.version != first.spec.version
    assert {*_contents(changed.train), *_contents(changed.val), *_contents(changed.test)} - {
        *_contents(first.train),
        *_contents(first.val),
        *_contents(first.test),
    }
    assert load(f"folder:{tmp_path}@16").train.images.shape[2:] == (16, 16)


def test_a_small_folder_leaves_nothing_behind(tmp_path):
    _fill(tmp_path, count=6)
    load(f"folder:{tmp_path}")
    assert not list(cache.folder().iterdir())


def test_subsets_of_a_stream(tmp_path, monkeypatch):
    _fill(tmp_path, count=30)
    monkeypatch.setattr(folder, "IN_MEMORY", 0)
    whole = load(f"folder:{tmp_path}")
    small, large = (load(f"folder:{tmp_path}", per_class=n, seed=1) for n in (3, 8))
    names = [{data.train.files[i] for i in range(len(data.train))} for data in (small, large, whole)]
    assert [len(n) for n in names] == [6, 16, 48]
    assert names[0] < names[1] < names[2]
    assert small.train.labels.tolist() == [0] * 3 + [1] * 3
    assert torch.equal(small.mean, whole.mean)
    assert [small.test.files[i] for i in range(6)] == [whole.test.files[i] for i in range(6)]


def test_imagenet(tmp_path, monkeypatch):
    _fill(tmp_path / "train", classes=("n01440764", "n01443537"), count=20, size=(30, 40), suffix="JPEG")
    _fill(tmp_path / "val", classes=("n01440764", "n01443537"), count=3, first=500, suffix="JPEG")
    (tmp_path / "test").mkdir()  # the challenge's has no labels
    dataset = load(f"imagenet:{tmp_path}")
    spec = dataset.spec
    assert isinstance(dataset.train, Stream)
    assert (spec.img_size, spec.num_train, spec.num_val, spec.num_test) == (224, 36, 4, 6)
    assert spec.classes == ("n01440764", "n01443537")
    assert all("/val/" in dataset.test.files[i] for i in range(6))
    assert all("/train/" in split.files[0] for split in (dataset.train, dataset.val))
    assert describe(f"imagenet:{tmp_path}") == spec
    assert describe(f"imagenet:{tmp_path}@64").img_size == 64
    monkeypatch.setattr(folder, "MOST_VAL", 2)
    assert describe(f"imagenet:{tmp_path}").num_val == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_fill, "imagenet: .* lacks train, val: .* one subfolder per class"),
        (lambda root: _fill(root / "train"), "lacks val:"),
        (lambda root: (_fill(root / "train"), _write(root / "val", "0")), "val has no images in subfolders"),
        (lambda root: (_fill(root / "train"), _fill(root / "val", classes=("cat",))), "have different classes: dog"),
    ],
)
def test_other_layouts_are_no_imagenet(tmp_path, make, message):
    make(tmp_path)
    with pytest.raises(UserError, match=message):
        load(f"imagenet:{tmp_path}")
