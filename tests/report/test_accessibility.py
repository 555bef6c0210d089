"""Everybody can read the page: contrast by WCAG 2.2's formula, alternatives, headings, landmarks, and any width."""

import itertools
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.support.browser import look, needs_chromium
from tests.support.made_records import Made
from tests.support.reading import Reader
from vitbench import report

pytestmark = pytest.mark.slow

STYLE = (Path(report.__file__).parent / "templates" / "style.css").read_text(encoding="utf-8")
THEMES = ("light", "dark", "print")


def luminance(colour):
    """WCAG 2.2, relative luminance."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, two):
    """WCAG 2.2, contrast ratio."""
    light, dark = sorted((luminance(one), luminance(two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def palettes():
    """Theme → the colours that it gives the style's variables; a later theme overrides the light one."""
    blocks = re.findall(r":root \{(.*?)\}", STYLE, flags=re.DOTALL)
    assert len(blocks) == len(THEMES)
    found = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})\b", block)) for block in blocks]
    return {theme: {**found[0], **own} for theme, own in zip(THEMES, found, strict=True)}


def used(*properties):
    """The variables that the style gives to a property."""
    return set(re.findall(rf"(?<![\w-])(?:{'|'.join(properties)}): (?:[^;]*\s)?var\(--([\w-]+)\)", STYLE)) & set(
        palettes()["light"]
    )


def test_the_formula_is_wcags():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)  # the well-known grey that just fails
    assert contrast("#fff", "#fff") == 1


@pytest.mark.parametrize("theme", THEMES)
def test_every_text_can_be_read_on_every_ground(theme):
    colours = palettes()[theme]
    texts, grounds = used("color"), used("background")
    assert texts >= {"ink", "muted", "link", "good", "bad"}
    assert grounds >= {"paper", "wash", "good-wash", "bad-wash", "none-wash"}
    low = {
        (text, ground): round(contrast(colours[text], colours[ground]), 2)
        for text, ground in itertools.product(texts, grounds)
        if contrast(colours[text], colours[ground]) < 4.5
    }
    assert low == {}


@pytest.mark.parametrize("theme", THEMES)
def test_what_is_drawn_stands_out(theme):
    colours = palettes()[theme]
    for name in [*used("outline", "border"), *(f"swatch-{number}" for number in range(3))]:
        if name != "line":  # rules between rows only decorate; later families differ by their marker too
            assert contrast(colours[name], colours["paper"]) >= 3, name


def test_no_colour_stands_outside_the_palette():
    rules = re.sub(r":root \{.*?\}", "", STYLE, flags=re.DOTALL)
    assert re.findall(r"#[0-9a-f]{3,8}\b|rgba?\(|hsla?\(", rules) == []


def test_landmarks_language_and_headings_in_order(page):
    reader = Reader(page)
    assert reader.all("html") == [{"lang": "en"}]
    assert len(re.findall(r"<title>[^<]+ · vitbench</title>", page)) == 1
    assert len(reader.all("main")) == len(reader.all("header")) == 1
    assert all(a.get("aria-label") or a.get("aria-labelledby") for a in reader.all("section"))
    levels = [int(tag[1]) for tag, _ in reader.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


class Words(HTMLParser):
    """Tags, each with the words inside it."""

    def __init__(self, text):
        super().__init__()
        self.found, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.open.append((tag, dict(attributes), []))

    def handle_endtag(self, tag):
        while self.open:
            own, attributes, words = self.open.pop()
            self.found.append((own, attributes, " ".join(words)))
            if own == tag:
                break

    def handle_data(self, data):
        for _, _, words in self.open:
            words.extend(data.split())


def test_everything_has_a_name(page):
    found = Words(page).found
    reader = Reader(page)
    ids = {a["id"]: words for _, a, words in found if "id" in a}
    for tag, attributes, words in found:
        if attributes.get("role") in {"img", "region"}:
            label = attributes.get("aria-label") or ids[attributes["aria-labelledby"]]
            assert len(label) > (20 if attributes["role"] == "img" else 0)
        if tag in {"th", "h1", "h2", "h3", "a", "summary", "figcaption", "caption", "dt"}:
            assert words, (tag, attributes)
        if tag == "th":
            assert attributes["scope"] in {"row", "col"}
    drawings = [a for _, a, _ in found if a.get("class") == "drawing"]
    assert len(drawings) == len(reader.all("svg")) == len(reader.all("figure"))
    assert all(a["aria-hidden"] == "true" for a in reader.all("svg"))  # what it shows is said by its frame
    assert all(a["tabindex"] == "0" for _, a, _ in found if a.get("class") == "scroll")  # keys can scroll it


SEEN = """
const see = () => {
  const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const luminance = (c) => { const [r, g, b] = c.map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const ground = (e) => { for (; e; e = e.parentElement) { const c = parse(w.getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] === 1) return c.slice(0, 3); } return [255, 255, 255]; };
  d.querySelectorAll("details").forEach((one) => { one.open = true; });
  const low = [], names = new Set();
  const walk = d.createTreeWalker(d.body, w.NodeFilter.SHOW_TEXT);
  let texts = 0;
  while (walk.nextNode()) {
    const text = walk.currentNode, e = text.parentElement;
    if (!text.data.trim() || !e.getClientRects().length) continue;
    texts += 1;
    const ink = parse(w.getComputedStyle(e).color).slice(0, 3), paper = ground(e);
    const [a, b] = [luminance(ink), luminance(paper)].sort((x, y) => y - x), ratio = (a + 0.05) / (b + 0.05);
    names.add(ink + " on " + paper);
    if (ratio < 4.5) low.push([text.data.trim().slice(0, 40), ratio]);
  }
  const root = d.documentElement;
  const over = [...d.querySelectorAll("body *")].filter((e) => !e.closest(".scroll, .drawing, pre") &&
    e.getBoundingClientRect().right > root.clientWidth + 1).map((e) => e.tagName + "." + e.className);
  const targets = [...d.querySelectorAll("button, input, summary")];
  const small = targets.filter((e) => e.getBoundingClientRect().height < 23.5).length;
  const wide = [root.scrollWidth, root.clientWidth], dark = w.matchMedia("(prefers-color-scheme: dark)").matches;
  return { texts, low, pairs: names.size, wide, over, small, dark };
};
const found = [];
for (const width of [390, 1280]) {
  w.frameElement.width = width;
  found.push(see());
}
return found;
"""


@pytest.mark.nightly("browser")
@needs_chromium
@pytest.mark.parametrize("dark", [False, True])
def test_a_browser_shows_it_legibly_and_without_scrolling_sideways(page, tmp_path, dark):
    for width, found in zip((390, 1280), look(page, SEEN, tmp_path, dark=dark), strict=True):
        assert found["dark"] is dark
        assert found["texts"] > 300
        assert found["pairs"] >= 5
        assert found["low"] == []
        assert found["over"] == []
        assert found["wide"][0] <= found["wide"][1] <= width
        assert found["small"] == 0  # WCAG 2.2, 2.5.8: a target is 24 px high at least


@pytest.mark.nightly("browser")
@needs_chromium
def test_names_of_any_length_do_not_widen_the_page(tmp_path):
    long = "stem=" + "a_very_long_name_without_any_blank" * 4
    made = Made(tmp_path, [{"name": "a"}, {"name": long}], question=f"Is {long} worth its name?")
    for name in ("a", long):
        made.cost(name, params=1000, macs=10_000)
        made.accuracy(name, [0.9, 0.91, 0.92, 0.9, 0.91, 0.92], curves=False)
    source = report.write(tmp_path).read_text(encoding="utf-8")
    assert long in source
    for found in look(source, SEEN, tmp_path):
        assert found["over"] == []
        assert found["wide"][0] <= found["wide"][1]
