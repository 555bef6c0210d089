"""Attention made visible in a report: there where the trials kept it, explained, described, and nowhere else."""

import base64
import re

import numpy as np
import pytest

from tests.support.made_records import Made
from vitbench import report
from vitbench.measure import accuracy
from vitbench.report.sections import attention


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A ViT of 81 patches, one of a few, one without position vectors, and a ResNet."""
    made = Made(
        tmp_path_factory.mktemp("looks"),
        [{"name": "base"}, {"name": "few"}, {"name": "none"}, {"name": "resnet", "family": "ResNet"}],
    )
    rng = np.random.default_rng(1)
    for name in ("base", "few", "none", "resnet"):
        made.accuracy(name, [0.5, 0.6], epochs=2)
    for name, side in (("base", 9), ("few", 2), ("none", 2)):
        for seed in (0, 1):
            arrays = {"attention_distance": rng.uniform(1.25, 4, (3, 2)), "uniform_distance": 3.0}
            if name != "none":
                vectors = rng.normal(size=(side**2, 5))
                vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
                arrays["pos_similarity"] = (vectors @ vectors.T).reshape(side, side, side, side)
            made.looks(name, seed, **arrays)
    report.write(made.folder)
    return made.folder


def test_two_figures_with_captions_that_say_how_to_read_them(folder):
    text = (folder / "report.md").read_text(encoding="utf-8")
    distance, similarity = (
        text.index(title) for title in ("## Attention distance", "## Position-embedding similarity")
    )
    far, alike = text[distance:similarity], text[similarity:]
    assert "(figures/attention_distance.svg)" in far
    assert "a dot is one head of one seed" in far
    assert "of 3 variants" in far
    assert "(figures/position_similarity.svg)" in alike
    assert "of 2 variants" in alike
    assert "patches with the numbers at the side" in alike  # nine a side have seven tiles
    assert "too many patches: none." in alike
    assert "For rope" not in alike


def test_the_caption_counts_the_images_that_were_looked_at(folder):
    assert attention.LOOKED_AT == accuracy.LOOKED_AT
    assert f"the first {accuracy.LOOKED_AT} validation images" in (folder / "report.md").read_text(encoding="utf-8")


def test_the_page_describes_them_and_holds_them(folder):
    page = (folder / "report.html").read_text(encoding="utf-8")
    labels = re.findall(r'role="img" aria-label="([^"]*)"', page)
    assert any(label.startswith("Mean attention distance by block of 3 variants") for label in labels)
    assert any("base -" in label and "few " in label for label in labels)
    for address in re.findall(r'<(?!a )[^>]*(?:href|src)="([^#"][^"]*)"', page):
        kind, _, data = address.partition(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(data).startswith(b"\x89PNG")


def test_they_are_the_same_bytes_again(folder):
    figures = [folder / "figures" / f"{name}.svg" for name in ("attention_distance", "position_similarity")]
    before = [path.read_bytes() for path in figures]
    report.write(folder)
    assert [path.read_bytes() for path in figures] == before


def test_without_what_they_show_they_are_not_there(tmp_path):
    Made(tmp_path, [{"name": "a"}]).accuracy("a", [0.5, 0.6], epochs=2)
    report.write(tmp_path)
    assert {path.stem for path in (tmp_path / "figures").iterdir()} == {"accuracy", "learning_curves"}
