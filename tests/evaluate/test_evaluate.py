"""A checkpoint whose answers are known, on images whose labels were planted; and the command as a stranger types it."""

import csv
import io
import json
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import top_k_accuracy_score

from vitbench.data import folder, load
from vitbench.data.dataset import make_dataset, make_split
from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.vit import ViTConfig
from vitbench.evaluate import preprocessing as feeding
from vitbench.evaluate.__main__ import main
from vitbench.evaluate.class_map import class_map
from vitbench.evaluate.preprocessing import Images, family_of, images_for
from vitbench.evaluate.request import prepare
from vitbench.evaluate.scoring import Clock, logits_of, score
from vitbench.models import build
from vitbench.models.weights import save_weights
from vitbench.models.weights.formats import recognise
from vitbench.models.weights.opening import open_checkpoint
from vitbench.stats.calibration import wilson_interval
from vitbench.utils.errors import UserError

CLASSES = ("blue", "green", "red")
PLANTED = {"blue": (10, 10), "green": (7, 10), "red": (2, 10)}
"""Class → test images that show their own colour, of how many. The others show the next class's."""

CONFIG = ViTConfig(
    img_size=16, patch_size=8, num_classes=3, embed_dim=4, depth=1, num_heads=1, pool="mean", pos_embed="none"
)


def colour_reader(config=CONFIG, gain=3.0):
    """A ViT that names the brightest channel: patches are their channels' sums, and the block adds nothing."""
    model = build(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        for channel in range(3):
            model.patch_embed.proj.weight[channel, channel] = 1
        model.norm.weight.fill_(1)
        for index, channel in enumerate((2, 1, 0)):
            model.head.weight[index, channel] = gain
    return model


def paint(path, colour, seed=0, size=(16, 16)):
    noise = np.random.default_rng(seed).integers(0, 60, size=(*size, 3))
    noise[..., {"red": 0, "green": 1, "blue": 2}[colour]] += 150
    Image.fromarray(noise.astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """``data``: train, val and a test split with planted answers. Checkpoints of the colour reader beside it."""
    root = tmp_path_factory.mktemp("evaluate")
    for part, count in (("train", 6), ("val", 2), ("test", 10)):
        for at, name in enumerate(CLASSES):
            (root / "data" / part / name).mkdir(parents=True)
            right = PLANTED[name][0] if part == "test" else count
            for i in range(count):
                shown = name if i < right else CLASSES[(at + 1) % 3]
                paint(root / "data" / part / name / f"{i}.png", shown, seed=100 * at + i)
    model = colour_reader()
    save_weights(model, root / "ours.safetensors")
    torch.save(model.state_dict(), root / "timm.pth")
    torch.save({"model": model.state_dict()}, root / "deit.pth")
    return root


def run(place, *argv, form="json", weights="ours.safetensors", data="data", model="auto"):
    argv = ["--weights", str(place / weights), "--data", f"folder:{place / data}", *argv, "--format", form]
    return main([model, *argv])


SHAPES = ((40, 40), (31, 90), (200, 77), (16, 16), (17, 64), (333, 500), (9, 12), (50, 49), (120, 16), (64, 17))


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """A test split of many shapes, smooth pictures with noise, PNG and JPEG; one training image is cut short."""
    root = tmp_path_factory.mktemp("mixed")
    rng = np.random.default_rng(3)
    for part, shapes in (("train", ((16, 16),) * 10), ("test", SHAPES)):
        for at, name in enumerate(CLASSES):
            (root / part / name).mkdir(parents=True)
            for i, shape in enumerate(shapes):
                coarse = Image.fromarray(rng.integers(256, size=(4, 5, 3), dtype=np.uint8)).resize(shape[::-1])
                noisy = np.asarray(coarse).astype(int) + rng.integers(-40, 41, size=(*shape, 3))
                picture = Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
                picture.save(root / part / name / f"{i:02}.{'jpg' if (i + at) % 2 else 'png'}", quality=95)
    broken = root / "train" / "red" / "04.png"
    broken.write_bytes(broken.read_bytes()[:-200])
    return root


def by_pillow(file, *, shorter, side, interpolation):
    """timm's evaluation, written out: the shorter side resized, the middle cut out, (3, side, side) bytes."""
    image = Image.open(file).convert("RGB")
    width, height = image.size
    if width <= height:
        width, height = shorter, int(shorter * height / width)
    else:
        width, height = int(shorter * width / height), shorter
    image = image.resize((width, height), interpolation)
    left, top = round((width - side) / 2), round((height - side) / 2)
    return torch.from_numpy(np.array(image)[top : top + side, left : left + side]).permute(2, 0, 1)


@pytest.mark.parametrize(
    ("weights", "asked", "shorter", "interpolation", "words"),
    [
        (
            "timm.pth",
            {},
            17,
            Image.Resampling.BICUBIC,
            "17 px, centre crop of 16 px, bicubic interpolation (as for t",
        ),
        (
            "deit.pth",
            {},
            17,
            Image.Resampling.BICUBIC,
            "17 px, centre crop of 16 px, bicubic interpolation (as for D",
        ),
        ("timm.pth", {"crop": 0.5}, 32, Image.Resampling.BICUBIC, "32 px, centre crop of 16 px, bicubic"),
        ("timm.pth", {"crop": 1.0}, 16, Image.Resampling.BICUBIC, "resized to 16 px, bicubic interpolation"),
        (
            "timm.pth",
            {"interpolation": "bilinear"},
            17,
            Image.Resampling.BILINEAR,
            "bilinear interpolation (as req",
        ),
    ],
)
def test_files_become_what_pillow_makes_of_them(place, mixed, weights, asked, *, shorter, interpolation, words):
    """Pixel for pixel, whatever the shape; and the normalisation of those pixels."""
    ready = prepare("auto", str(place / weights), f"folder:{mixed}", normalise="half", **asked, img_size=16)
    found = ready.dataset.test.take(torch.arange(30))
    files = [ready.dataset.test.files[i] for i in range(30)]
    assert sorted(files) == sorted(str(path) for path in (mixed / "test").rglob("*.*"))
    truth = torch.stack([by_pillow(f, shorter=shorter, side=16, interpolation=interpolation) for f in files])
    assert torch.equal(found, truth)
    assert torch.allclose(ready.images(found), (truth / 255 - 0.5) / 0.5, atol=1e-6)
    assert words in ready.images.description
    assert ready.images.interpolation == interpolation.name.lower()


def test_images_that_nothing_resized_have_no_interpolation():
    images = images_for(plain(32), 32, feeding.TIMM)
    assert images.interpolation is None
    assert "images of 32 px, not resized" in images.description
    assert "interpolation" not in images.description


def test_the_interpolation_is_the_familys():
    """Read off timm 1.0.31, DeiT's main.py, torchvision's presets, transformers' image processors."""
    bicubic = {feeding.TIMM, feeding.DEIT, feeding.JAX, feeding.HUGGING_FACE_DEIT}
    for family in {*feeding._FAMILIES.values(), *feeding._DISTILLED.values()}:
        assert family.interpolation == ("bicubic" if family in bicubic else "bilinear")


def test_images_in_memory_are_resized_as_pillow_does_to_a_level():
    rng = np.random.default_rng(0)
    coarse = [Image.fromarray(rng.integers(256, size=(9, 9, 3), dtype=np.uint8)).resize((40, 40)) for _ in range(30)]
    split = make_split(np.stack([np.asarray(image).transpose(2, 0, 1) for image in coarse]), np.arange(30) % 3)
    data = make_dataset(
        name="made", version="1", classes=CLASSES, train=split, val=split, test=split, shift=False, flip=False
    )
    for family, mode in ((feeding.TIMM, Image.Resampling.BICUBIC), (feeding.TORCHVISION, Image.Resampling.BILINEAR)):
        for side in (16, 72):
            images = images_for(data, side, family, normalise="half")
            found = images(split.images) * 127.5 + 127.5
            resized = [image.resize((images.resized,) * 2, mode) for image in coarse]
            start = round((images.resized - side) / 2)
            truth = np.stack([np.asarray(r)[start : start + side, start : start + side] for r in resized])
            distance = (found - torch.from_numpy(truth).permute(0, 3, 1, 2)).abs()
            assert distance.max() < 1.01
            assert (distance > 0.1).double().mean() < 0.02  # a tie that Pillow's whole numbers break the other way
            assert f"{family.interpolation} interpolation" in images.description


def test_training_images_are_decoded_for_their_statistics_alone(place, mixed, capsys):
    """One of them cannot be: whoever does not need it is not stopped by it."""
    argv = ["auto", "--data", f"folder:{mixed}", "--no-throughput", "--img-size", "16"]
    assert main([*argv, "--weights", str(place / "timm.pth")]) == 0
    assert "training images were decoded" not in capsys.readouterr().out
    assert main([*argv, "--weights", str(place / "timm.pth"), "--normalise", "imagenet"]) == 0
    capsys.readouterr()
    for asked in ((), ("--interpolation", "bicubic")):
        assert main([*argv, "--weights", str(place / "ours.safetensors"), *asked]) == 2
        assert "red/04.png cannot be read as an image" in capsys.readouterr().err


def test_statistics_are_those_of_training(place, capsys):
    """Whichever way the test images go, mean and deviation are what a training run on the folder has."""
    whole = load(f"folder:{place / 'data'}@16")
    for asked in ({}, {"crop": 0.5}, {"interpolation": "bicubic"}):
        ready = prepare("auto", str(place / "ours.safetensors"), f"folder:{place / 'data'}", **asked)
        assert torch.equal(ready.images.mean, whole.mean)
        assert torch.equal(ready.images.std, whole.std)
        assert "training images were decoded too" in ready.images.description


def test_planted_answers_come_back(place, capsys):
    assert run(place, "--no-throughput") == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    right = sum(correct for correct, _ in PLANTED.values())
    interval = wilson_interval(right, 30)
    top1 = found["top1_accuracy"]
    assert (top1["value"], top1["low"], top1["high"], top1["n"]) == (right / 30, interval.low, interval.high, 30)
    assert "top5_accuracy" not in found
    assert {row["class"]: (row["value"], row["n"]) for row in found["classes"]} == {
        name: (correct / images, images) for name, (correct, images) in PLANTED.items()
    }
    assert "tensors loaded" in err
    assert "mean and deviation of the training split (as for vitbench's weights)" in err


@pytest.mark.slow
def test_streamed_images_give_the_same_numbers(place, capsys, monkeypatch):
    run(place, "--no-throughput")
    in_memory = json.loads(capsys.readouterr().out)
    monkeypatch.setattr(folder, "IN_MEMORY", 0)
    for workers in ("0", "1"):
        run(place, "--no-throughput", "--workers", workers, "--batch-size", "7")
        streamed = json.loads(capsys.readouterr().out)
        assert streamed["classes"] == in_memory["classes"]
        assert streamed["calibration_error_plain"]["value"] == pytest.approx(
            in_memory["calibration_error_plain"]["value"], abs=1e-3
        )
    assert run(place, form="csv") == 0
    assert "throughput_img_s" in capsys.readouterr().out


def test_the_batch_size_changes_nothing(place):
    ready = prepare("auto", str(place / "ours.safetensors"), f"folder:{place / 'data'}")
    one, many = (logits_of(ready.model, ready.dataset, ready.images, batch_size=size) for size in (1, 64))
    assert torch.allclose(one, many, atol=1e-5)
    assert one.shape == (30, 3)


def test_every_form_has_the_same_numbers(place, capsys):
    def shown(form):
        assert run(place, "--no-throughput", form=form) == 0
        return capsys.readouterr()

    rows = list(csv.DictReader(io.StringIO(shown("csv").out)))
    assert [row["quantity"] for row in rows[:3]] == ["top1_accuracy", "calibration_error", "calibration_error_plain"]
    assert [row["class"] for row in rows[3:]] == list(CLASSES)
    assert float(rows[0]["value"]) == 19 / 30
    table = shown("table").out
    assert "Top-1 accuracy (%)" in table
    assert "63.3" in table
    assert "images of 16 px, not resized" in table
    markdown = shown("markdown").out
    assert "| green | 10 | 70.0 | [39.7, 89.2] |" in markdown
    latex = shown("latex").out
    assert latex.count(r"\toprule") == 2
    assert r"$63.3$ & $[45.5, 78.1]$" in latex


def test_throughput_is_images_per_second_with_an_interval(place, capsys, monkeypatch):
    monkeypatch.setattr("vitbench.evaluate.scoring.WINDOW_S", 0.02)
    assert run(place, "--batch-size", "50") == 0
    rate = json.loads(capsys.readouterr().out)["throughput_img_s"]
    assert 0 < rate["value"] < 1e7
    assert rate["low"] <= rate["value"] <= rate["high"]
    assert rate["unit"] == "windows"


def test_top_k_is_sklearns():
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(200, 12, generator=generator), torch.randint(12, (200,), generator=generator)
    logits[torch.arange(200), labels] += 1
    found = score(logits, labels, [f"c{i}" for i in range(12)])
    for interval, k in ((found.top1, 1), (found.top5, 5)):
        truth = top_k_accuracy_score(labels.numpy(), logits.numpy(), k=k, labels=range(12))
        assert interval.value == pytest.approx(truth)
        assert interval.low < truth < interval.high
    assert sum(of.images for of in found.classes) == 200
    weighted = sum(of.accuracy.value * of.images for of in found.classes) / 200
    assert weighted == pytest.approx(found.top1.value)


def test_calibration_is_that_of_the_softmax():
    """Logits of 0 and log 3: the model is sure to three quarters, and right as often as it was made to be."""
    labels = torch.tensor([0] * 300 + [1] * 100)
    logits = torch.tensor([[math.log(3), 0.0]]).repeat(400, 1)
    assert score(logits, labels, ["a", "b"]).calibration.plain == pytest.approx(0, abs=1e-6)
    wrong = score(logits, 1 - labels, ["a", "b"]).calibration
    assert wrong.plain == pytest.approx(0.5, abs=1e-6)
    assert wrong.error.low > 0.4


def test_a_class_without_test_images_has_no_accuracy():
    found = score(torch.eye(3)[:2], torch.tensor([0, 1]), CLASSES)
    assert [of.accuracy is None for of in found.classes] == [False, False, True]


def plain(side, seed=0, *, channels=3, top=256):
    images = np.random.default_rng(seed).integers(0, top, size=(30, channels, side, side)).astype(np.uint8)
    images[0, 0, 0, 0] = top - 1
    split = make_split(images, np.arange(30) % 3)
    return make_dataset(
        name="made", version="1", classes=CLASSES, train=split, val=split, test=split, shift=False, flip=False
    )


@pytest.mark.parametrize(
    ("word", "mean", "std"),
    [("half", (0.5,) * 3, (0.5,) * 3), ("imagenet", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))],
)
def test_normalisation_is_that_of_images_from_0_to_1(word, mean, std):
    data = plain(16)
    fed = images_for(data, 16, feeding.OURS, normalise=word)(data.test.images)
    truth = (data.test.images / 255 - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    assert torch.allclose(fed, truth, atol=1e-5)


def test_data_normalisation_is_that_of_training():
    data = plain(16)
    fed = images_for(data, 16, feeding.OURS)(data.train.images)
    assert fed.mean(dim=(0, 2, 3)) == pytest.approx([0, 0, 0], abs=1e-4)
    assert fed.std(dim=(0, 2, 3), unbiased=False) == pytest.approx([1, 1, 1], abs=1e-4)


def test_crops_are_timms():
    """timm: the shorter side becomes floor(224 / 0.9) = 248, and 224 are cut from row 12 on."""
    data = plain(248)
    images = images_for(data, 224, feeding.TIMM)
    assert "images resized to 248 px, centre crop of 224 px, bicubic interpolation" in images.description
    expected = (data.test.images[..., 12:236, 12:236] / 255 - 0.5) / 0.5
    assert torch.allclose(images(data.test.images), expected, atol=1e-6)
    assert images_for(plain(384), 384, feeding.TIMM).resized == 384
    assert images_for(plain(32), 32, feeding.TIMM).resized == 32  # nothing to cut from: as they are
    assert images_for(plain(32), 32, feeding.TIMM, crop=0.875).resized == 36
    assert images_for(plain(16), 32, feeding.OURS)(plain(16).test.images).shape == (30, 3, 32, 32)


@pytest.mark.parametrize(
    ("weights", "family"), [("ours.safetensors", feeding.OURS), ("timm.pth", feeding.TIMM), ("deit.pth", feeding.DEIT)]
)
def test_the_family_follows_from_the_file(place, weights, family):
    checkpoint = open_checkpoint(place / weights)
    assert family_of(checkpoint, recognise(checkpoint)) is family


def test_every_format_has_a_family(tmp_path):
    from vitbench.models.weights.rules import FORMATS

    assert set(feeding._FAMILIES) == set(FORMATS)
    distilled = build(ViTConfig(img_size=16, patch_size=8, embed_dim=8, depth=1, num_heads=1, distilled=True))
    torch.save(distilled.state_dict(), tmp_path / "distilled.pth")
    checkpoint = open_checkpoint(tmp_path / "distilled.pth")
    assert family_of(checkpoint, recognise(checkpoint)) is feeding.DEIT


def test_the_familys_way_is_what_is_used(place, capsys):
    for weights, words in (("timm.pth", "mean 0.5 and deviation 0.5 (as for timm's"), ("deit.pth", "ImageNet's mean")):
        assert run(place, "--no-throughput", "--img-size", "16", weights=weights) == 0
        out, err = capsys.readouterr()
        assert words in err
        assert "17 px, centre crop of 16 px" in err
        assert json.loads(out)["top1_accuracy"]["value"] == 19 / 30
    assert run(place, "--no-throughput", "--normalise", "data", weights="timm.pth") == 0
    assert "mean and deviation of the training split (as requested)" in capsys.readouterr().err


def test_another_size_resizes_positions_and_says_so(tmp_path, place, capsys):
    config = ViTConfig(img_size=16, patch_size=8, num_classes=3, embed_dim=4, depth=1, num_heads=1, pool="mean")
    save_weights(colour_reader(config), tmp_path / "learned.safetensors")
    argv = ["auto", "--weights", str(tmp_path / "learned.safetensors"), "--data", f"folder:{place / 'data'}"]
    assert main([*argv, "--img-size", "32", "--no-throughput", "--format", "json"]) == 0
    out, err = capsys.readouterr()
    assert "resized pos_embed: 2×2 → 4×4" in err
    assert json.loads(out)["img_size"] == 32
    assert json.loads(out)["top1_accuracy"]["value"] == 19 / 30


def test_a_named_model_takes_the_files_classes(tmp_path, place, capsys):
    from vitbench.declare.checked import with_values
    from vitbench.declare.zoo import zoo

    config = with_values(zoo("vit_tiny_patch16_224"), {"num_classes": 3, "depth": 12})
    save_weights(build(config), tmp_path / "tiny.safetensors")
    argv = ["--weights", str(tmp_path / "tiny.safetensors"), "--data", f"folder:{place / 'data'}", "--img-size", "32"]
    assert main(["vit_tiny_patch16_224", *argv, "--no-throughput"]) == 0
    assert "14×14 → 2×2" in capsys.readouterr().out


def test_a_resnet_too(tmp_path, place, capsys):
    config = ResNetConfig(depth=None, layers=(1,), block="basic", width=8, stem="cifar", img_size=16, num_classes=3)
    save_weights(build(config), tmp_path / "resnet.safetensors")
    assert run(place, "--no-throughput", weights=tmp_path / "resnet.safetensors") == 0
    assert json.loads(capsys.readouterr().out)["top1_accuracy"]["n"] == 30


def test_a_class_map_picks_outputs(tmp_path, place, capsys):
    config = ViTConfig(
        img_size=16, patch_size=8, num_classes=9, embed_dim=4, depth=1, num_heads=1, pool="mean", pos_embed="none"
    )
    model = colour_reader()
    large = build(config)
    large.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("head")}, strict=False)
    with torch.no_grad():
        large.head.weight.zero_()
        large.head.bias.fill_(100.0)  # what is not a class would win, if it were let
        for output, index in ((7, 0), (0, 1), (4, 2)):
            large.head.weight[output] = model.head.weight[index]
            large.head.bias[output] = 0
    save_weights(large, tmp_path / "large.safetensors")
    for text in ("blue,7\ngreen,0\nred,4\n", '{"red": 4, "green": 0, "blue": 7}'):
        (tmp_path / "map").write_text(text, encoding="utf-8")
        argv = ["--no-throughput", "--class-map", str(tmp_path / "map")]
        assert run(place, *argv, weights=tmp_path / "large.safetensors") == 0
        assert json.loads(capsys.readouterr().out)["top1_accuracy"]["value"] == 19 / 30
    assert run(place, "--no-throughput", weights=tmp_path / "large.safetensors") == 2
    assert "is for 9 classes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("blue,0\ngreen,1\n", "lacks red"),
        ("blue,0\ngreen,1\nred,3\n", "'3' of 'red' does not exist: give 0 to 2"),
        ("blue,0\ngreen,1\nred,1\n", "'green' first"),
        ("blue,0\nblue,1\n", "twice"),
        ("blu,0\n", "did you mean 'blue'?"),
        ("blue 0\n", "not of the form name,output"),
        ("{blue: 0}", "is not JSON"),
        ('{"blue": true}', "'True' of 'blue' does not exist"),
        ('{"blue": -1}', "'-1' of 'blue' does not exist"),
    ],
)
def test_a_class_map_that_does_not_fit(tmp_path, text, words):
    (tmp_path / "map").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=words):
        class_map(tmp_path / "map", CLASSES, 3)


def test_a_missing_class_map(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        class_map(tmp_path / "none", CLASSES, 3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": None}, ["model is missing", "--weights FILE"]),
        ({"weights": None}, ["--weights is missing", "--data folder:PATH"]),
        ({"data": None}, ["--data is missing"]),
        ({"model": "vit_tinny_patch16_224"}, ["did you mean 'vit_tiny_patch16_224'?"]),
        ({"model": "resnet18"}, ["does not fit", "type auto for resnet18"]),
        ({"weights": "none.pth"}, ["there is no checkpoint none.pth"]),
        ({"data": "digits"}, ["3 channels", "digits has 1"]),
        ({"data": "folder:none"}, ["there is no folder none"]),
        ({"extra": ("--img-size", "20")}, ["patch_size=8 does not divide img_size=20"]),
        ({"extra": ("--img-size", "0")}, ["--img-size 0"]),
        ({"extra": ("--batch-size", "0")}, ["--batch-size 0"]),
        ({"extra": ("--threads", "0")}, ["--threads 0"]),
        ({"extra": ("--workers", "-1")}, ["--workers -1"]),
        ({"extra": ("--crop", "1.5")}, ["crop 1.5", "at most 1"]),
        ({"extra": ("--normalise", "halve")}, ["did you mean 'half'?"]),
        ({"extra": ("--interpolation", "bicubik")}, ["did you mean 'bicubic'?"]),
        ({"extra": ("--device", "tpu")}, ["'tpu'", "cpu"]),
        ({"extra": ("--format", "xml")}, ["xml", "markdown"]),
    ],
)
def test_a_mistake_is_one_sentence(place, change, words, capsys):
    given = {"model": "auto", "weights": str(place / "ours.safetensors"), "data": f"folder:{place / 'data'}"} | change
    argv = [given["model"]] if given["model"] else []
    argv += [word for name in ("weights", "data") if given[name] for word in (f"--{name}", given[name])]
    assert main([*argv, *given.get("extra", ())]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert all(word in err for word in words), err


def test_normalisations_that_do_not_go_with_the_images():
    dark = plain(8, top=17)
    with pytest.raises(UserError, match="needs values from 0 to 255"):
        images_for(dark, 8, feeding.TIMM)
    with pytest.raises(UserError, match="needs 3 channels, and made has 1"):
        images_for(plain(8, channels=1), 8, feeding.DEIT)
    assert isinstance(images_for(plain(8, channels=1), 8, feeding.TIMM), Images)


def test_a_file_without_a_classifier(tmp_path, place, capsys):
    save_weights(build(ViTConfig(img_size=16, patch_size=8, num_classes=0, embed_dim=4, depth=1, num_heads=1)),
                 tmp_path / "features.safetensors")  # fmt: skip
    assert run(place, weights=tmp_path / "features.safetensors") == 2
    assert "has no classifier" in capsys.readouterr().err


def test_weights_that_put_out_nan(tmp_path, place, capsys):
    model = colour_reader()
    with torch.no_grad():
        model.head.bias[0] = math.nan
    save_weights(model, tmp_path / "nan.safetensors")
    assert run(place, weights=tmp_path / "nan.safetensors") == 2
    err = capsys.readouterr().err
    assert "NaN or infinity for one of test images 1 to 30" in err
    assert len(err.splitlines()) == 1


def test_digits_by_a_model_of_ours(tmp_path, capsys):
    config = ViTConfig(img_size=8, patch_size=4, in_chans=1, num_classes=10, embed_dim=8, depth=1, num_heads=1)
    save_weights(build(config), tmp_path / "digits.safetensors")
    argv = ["auto", "--weights", str(tmp_path / "digits.safetensors"), "--data", "digits", "--no-throughput"]
    assert main([*argv, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["top1_accuracy"]["n"] == load("digits").spec.num_test
    assert found["top5_accuracy"]["value"] > found["top1_accuracy"]["value"]
    assert main([*argv, "--normalise", "half"]) == 2
    assert "give --normalise data" in capsys.readouterr().err


def test_it_says_what_training_said(tmp_path, capsys):
    """The accuracy that a training run reports is what its weights get here, image by image."""
    from vitbench.declare.train import TrainConfig
    from vitbench.train import train

    config = ViTConfig(img_size=8, patch_size=4, in_chans=1, num_classes=10, embed_dim=16, depth=1, num_heads=1)
    trained = train(config, TrainConfig(epochs=2, batch_size=64), load("digits"), seed=0)
    save_weights(trained.model, tmp_path / "digits.safetensors")
    argv = ["auto", "--weights", str(tmp_path / "digits.safetensors"), "--data", "digits", "--no-throughput"]
    assert main([*argv, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["top1_accuracy"]["value"] == trained.accuracy > 0.15


def test_the_clock_tells_what_is_left():
    said, now = [], iter([0.0, 0.0, 10.0, 150.0])
    clock = Clock(said.append, timer=lambda: next(now))
    for done in (0, 100, 200):
        clock(done, 1000)
    assert said == [
        "0 of 1000 images",
        "100 of 1000 images, about 1 min 30 s left",
        "200 of 1000 images, about 10 min 00 s left",
    ]


def test_interrupted(place, monkeypatch, capsys):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("vitbench.evaluate.request.prepare", stop)
    assert run(place) == 130
    assert "nothing was saved" in capsys.readouterr().err


def test_it_is_a_subcommand_and_help_is_light(place):
    done = subprocess.run(
        [sys.executable, "-m", "vitbench", "evaluate", "--help"], capture_output=True, text=True, check=True
    )
    assert "--class-map" in done.stdout
    code = "import sys\nfrom vitbench.evaluate.__main__ import main\ntry:\n    main(['--help'])\n"
    code += "except SystemExit:\n    pass\nprint([m for m in ('torch', 'pandas', 'scipy') if m in sys.modules])"
    light = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert light.stdout.splitlines()[-1] == "[]"
