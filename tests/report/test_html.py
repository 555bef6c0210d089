"""The page stands alone, is well formed, can be read by everybody and fits a phone."""

import html
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.report.made import vit_vs_resnet
from vitbench import report
from vitbench.report.html import unbroken

VOID = {"meta", "link", "br", "hr", "img", "input", "wbr"}
CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("twelve")
    vit_vs_resnet(folder)
    return report.write(folder).read_text(encoding="utf-8")


class Reader(HTMLParser):
    """Keeps every tag with its attributes, and checks that they nest."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags = [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, *names):
        return [attributes for tag, attributes in self.tags if tag in names]


def test_tags_nest_and_ids_are_unique(page):
    tags = Reader(page).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    wanted = re.findall(r'(?:xlink:href="#|url\(#)([^")]+)', page)
    assert wanted
    assert set(wanted) <= set(ids)


def test_nothing_comes_from_outside(page):
    for tag, attributes in Reader(page).tags:
        assert tag not in {"script", "link", "iframe", "object", "embed", "img", "base"}
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in {"src", "href", "xlink:href", "srcset", "action"}:
                assert value.startswith("#")
    assert not re.search(r"url\((?!#)|@import|https?://(?!www\.w3\.org/)", page)


def test_everybody_can_read_it(page):
    reader = Reader(page)
    assert reader.all("html") == [{"lang": "en"}]
    assert len(reader.all("title")) == len(reader.all("h1")) == len(reader.all("main")) == 1
    pictures = [a for _, a in reader.tags if a.get("role") == "img"]
    assert len(pictures) == len(reader.all("svg")) == 5
    assert all(len(a["aria-label"]) > 20 for a in pictures)
    assert all(a.get("scope") in {"row", "col"} for a in reader.all("th"))
    regions = [a for _, a in reader.tags if a.get("role") == "region"]
    ids = {a["id"] for _, a in reader.tags if "id" in a}
    assert len(regions) == len(reader.all("table"))
    assert all(a["tabindex"] == "0" and a["aria-labelledby"] in ids for a in regions)


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, two):
    """WCAG 2.2's contrast ratio."""
    light, dark = sorted((luminance(one), luminance(two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1])
def test_contrast_in_the_light_and_in_the_dark(page, theme):
    blocks = re.findall(r":root \{(.*?)\}", page, flags=re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", blocks[theme]))
    for text in ("ink", "muted", "good", "bad", "link"):
        for ground in ("paper", "wash"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for text, ground in (("good", "good-wash"), ("bad", "bad-wash"), ("ink", "bad-wash"), ("ink", "none-wash")):
        assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for number in range(3):  # WCAG asks 3 of what is drawn; later families differ by their marker too
        assert contrast(colours[f"swatch-{number}"], colours["paper"]) >= 3


def test_intervals_do_not_break():
    space = "\N{NO-BREAK SPACE}"
    assert unbroken("a [1, 2] b [no] [3, 4]") == f"a [1,{space}2] b [no] [3,{space}4]"


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")
def test_a_phone_shows_it_without_scrolling_sideways(page, tmp_path):
    measure = "document.title = frames[0].document.documentElement.scrollWidth"
    frame = f'<iframe width="360" height="800" srcdoc="{html.escape(page)}" onload="{measure}"></iframe>'
    wrapper = tmp_path / "phone.html"
    wrapper.write_text(f"<!doctype html><title>none</title>{frame}", encoding="utf-8")
    quiet = ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", *quiet, f"--user-data-dir={tmp_path / 'profile'}",
        "--virtual-time-budget=5000", "--dump-dom", Path(wrapper).as_uri(),
    ]  # fmt: skip
    dom = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    assert int(re.search(r"<title>(\d+)</title>", dom)[1]) <= 360
