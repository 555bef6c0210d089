"""The page's script: what it sorts by, that it does what it says in a browser, and that the page can do without it."""

import base64
import hashlib
import html
import re

import pytest

from tests.support.browser import look, needs_chromium
from tests.support.made_records import Made
from tests.support.reading import Reader
from vitbench import report
from vitbench.report.cells import Cell, words
from vitbench.report.html import sort_key

SPACE = "\N{NARROW NO-BREAK SPACE}"


def script_of(page):
    (script,) = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    return script


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("98.6", 98.6),
        (f"86.6{SPACE}M", 86.6e6),
        (f"202{SPACE}k", 202_000),
        (f"1.53{SPACE}G", 1.53e9),
        (f"12{SPACE}345", 12_345),
        (f"12{SPACE}345{SPACE}T", 12_345e12),
        ("−2.0", -2.0),
        ("+0.7", 0.7),
        ("0", 0),
        ("<0.0001", 0.0000999999),
        (">99%", 99.000099),
        ("97.5%", 97.5),
        ("6 seeds", 6),
        ("–", None),
        ("not measured", None),
    ],
)
def test_numbers_sort_by_what_they_say(text, key):
    found = re.fullmatch(r' data-sort="(.*)"', str(sort_key(Cell(text))))[1]
    assert found == "" if key is None else float(found) == pytest.approx(key)


@pytest.mark.parametrize(
    ("text", "tone", "key"),
    [
        ("better by 1.2 points [0.3, 2.1]", "good", "1.2"),
        ("slower by 20.8% [17.3, 24.5]", "bad", "-20.8"),
        ("no difference found; smallest effect detectable 2.7%", "", "0"),
        ("baseline", "", "0"),
        ("INVALID: A/A control failed", "bad", ""),
        ("not measured: out of memory", "", ""),
        ("skipped", "", ""),
        ("–", "", ""),
    ],
)
def test_verdicts_sort_by_their_effect(text, tone, key):
    assert str(sort_key(Cell(text, tone=tone, kind="verdict"))) == f' data-sort="{key}"'


def test_words_sort_as_words():
    assert sort_key(words("ViT")) == ""


def test_only_this_script_may_run(page):
    policy = next(a["content"] for a in Reader(page).all("meta") if a.get("http-equiv"))
    script = script_of(page)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy
    for forbidden in ("eval", "Function(", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write"):
        assert forbidden not in script
    assert "</" not in script
    assert "fetch" not in script


def test_the_script_is_the_same_for_every_report(page, tmp_path):
    Made(tmp_path, [{"name": "</script><script>alert(1)//"}, {"name": "b"}])
    other = report.write(tmp_path).read_text(encoding="utf-8")
    assert script_of(other) == script_of(page)


def test_without_the_script_the_page_says_everything(page):
    reader = Reader(page)
    assert all("hidden" not in attributes for _, attributes in reader.tags)
    assert reader.all("button", "input") == []
    assert len(reader.all("details")) >= 4
    style = re.search(r"<style>(.*?)</style>", page, flags=re.DOTALL)[1]
    screen = style.partition("@media print")[0]
    assert not re.search(r"display: none|visibility: hidden", screen)


def test_every_point_says_its_row(page):
    said = [html.unescape(title) for title in re.findall(r'class="point" data-name="[^"]*"><title>(.*?)</title>', page)]
    assert len(said) == page.count('class="point"')
    drawings = {part.partition('"')[0]: part for part in page.split('<h2 id="')[1:]}
    for name, count in (("accuracy", 10), ("accuracy_latency", 10), ("accuracy_macs", 10), ("latency_ratio", 9)):
        assert drawings[name].count('class="point"') == count
    assert drawings["learning_curves"].count('class="point"') == 0
    row = re.compile(r"depth=2: Family ViT; Test accuracy \(%\) 9\d\.\d \[9.*; Latency \(ms\) 1\.\d\d \[1.*Seeds 6")
    assert any(row.fullmatch(one) for one in said)


SORTED = """
const table = d.querySelector("table"), heads = [...table.tHead.rows[0].cells];
const column = (name) => heads.findIndex((head) => head.textContent.trim() === name);
const names = () => [...table.tBodies[0].rows].map((row) => row.cells[0].textContent);
const press = (at) => { heads[at].querySelector("button").click();
  return [names(), heads.map((head) => head.getAttribute("aria-sort"))]; };
const found = { before: names() };
const latency = column("Latency (ms)");
found.up = press(latency); found.down = press(latency); found.again = press(latency);
found.verdict = press(latency + 1);
found.back = (press(latency + 1), press(latency + 1))[0];
const button = heads[0].querySelector("button");
button.focus();
found.focused = d.activeElement === button;
found.buttons = [...d.querySelectorAll("thead th")].every((th) => th.querySelectorAll("button").length === 1);
const field = d.querySelector(".tools input"), type = (text) => {
  field.value = text;
  field.dispatchEvent(new w.Event("input", { bubbles: true }));
  const shown = [...table.tBodies[0].rows].filter((row) => row.getClientRects().length);
  return [shown.map((row) => row.cells[0].textContent), d.querySelector(".tools output").textContent];
};
found.filtered = type("ResNet SLOWER"); found.resnets = type("  resnet ");
found.all = type(""); found.none = type("zzz");
found.labelled = [...d.querySelectorAll("input")].every((input) => input.labels.length === 1);
return found;
"""


@pytest.mark.nightly("browser")
@needs_chromium
def test_tables_sort_and_filter(page, tmp_path):
    found = look(page, SORTED, tmp_path)
    before = found["before"]
    assert before[0] == "baseline"
    up, state = found["up"]
    head = state.index("ascending")
    assert [s for s in state if s] == ["ascending"]
    missing = {"patch_size=3", "embed_dim=256"}
    assert set(up[-2:]) == missing
    keys = sort_keys(page)
    times = [float(keys[name][LATENCY]) for name in up[:-2]]
    assert times == sorted(times)
    down, state = found["down"]
    assert set(down[-2:]) == missing
    assert down[:-2] == sorted(up[:-2], key=lambda name: -times[up.index(name)])
    assert state[head] == "descending"
    assert found["again"] == [before, [None] * len(state)]
    effects = [float(keys[name][LATENCY + 1]) for name in found["verdict"][0][:-2]]
    assert effects == sorted(effects)
    assert effects[0] < 0 < effects[-1]  # from the slowest to the fastest
    assert found["back"] == before
    assert found["focused"]
    assert found["buttons"]
    assert found["resnets"] == [["resnet18_w16", "resnet18_w32", "resnet34_w16"], "3 of 12 rows"]
    assert found["all"] == [before, "12 rows"]
    assert found["none"] == [[], "0 of 12 rows"]
    assert found["labelled"]


LATENCY = 2  # among the cells that have a key: accuracy, its verdict, latency, its verdict, seeds


def sort_keys(page):
    """Name → the keys of its cells in the first table, read from the page's source."""
    table = page[page.index("<table>") : page.index("</table>")]
    rows = re.findall(r'<tr><th scope="row"><code>([^<]*)</code></th>(.*?)</tr>', table)
    return {name: re.findall(r'data-sort="([^"]*)"', cells) for name, cells in rows}


POINTED = """
const figure = d.querySelector("#accuracy_latency ~ figure"), drawing = figure.querySelector(".drawing");
const points = [...drawing.querySelectorAll(".point")], note = figure.querySelector(".reading");
const names = (table) => [...table.querySelectorAll("tr.lit")].map((row) => row.cells[0].textContent);
const lit = () => [...d.querySelectorAll("table")].map(names);
const say = (element, kind) => element.dispatchEvent(new w.PointerEvent(kind, { bubbles: true }));
const key = (name) => d.activeElement.dispatchEvent(new w.KeyboardEvent("keydown", { key: name, bubbles: true }));
const state = () => [note.hidden, note.textContent, d.querySelectorAll(".lit").length];
const found = { count: points.length, role: drawing.getAttribute("role"), start: state() };
say(points[1], "pointerover");
found.hover = [points[1].dataset.name, note.textContent, lit(), d.querySelectorAll(".point.lit").length];
const [box, around, mark] = [note, figure, points[1]].map((one) => one.getBoundingClientRect());
found.placed = box.left >= around.left && box.right <= around.right && Math.abs(box.top - mark.bottom - 6) < 1;
say(note, "pointerover"); found.kept = state();
say(drawing, "pointerover"); found.left = state();
found.stops = [...d.querySelectorAll(".drawing")].map((one) => one.querySelectorAll('[tabindex="0"]').length);
points[0].focus(); found.first = d.activeElement === points[0];
key("ArrowRight"); found.second = d.activeElement === points[1];
key("ArrowLeft"); key("ArrowLeft"); found.last = d.activeElement === points.at(-1);
found.read = [points.at(-1).dataset.name, ...state()];
key("Escape"); found.escaped = state();
found.labels = points.every((point) => point.getAttribute("aria-label").startsWith(point.dataset.name + ": "));
found.hidden = d.querySelectorAll('[aria-hidden="true"] [tabindex]').length;
found.size = [mark.width, mark.height];
const bad = d.createElement("script");
bad.textContent = "window.ran = 1";
d.body.append(bad);
found.ran = w.ran ?? 0;
return found;
"""


@pytest.mark.nightly("browser")
@needs_chromium
def test_a_point_reads_its_row(page, tmp_path):
    found = look(page, POINTED, tmp_path)
    assert found["count"] == 10
    assert found["role"] == "group"
    assert found["start"] == [True, "", 0]
    name, said, rows, marks = found["hover"]
    assert said.startswith(f"{name}: ")
    assert "Test accuracy (%)" in said
    assert rows[0] == [name]
    assert marks == page.count(f'data-name="{name}"') > 3  # in every figure that has it
    assert found["placed"]
    assert found["kept"][:2] == [False, said]  # what it says can itself be pointed at
    assert found["left"][0] is True
    assert found["left"][2] == 0
    assert all(stops <= 1 for stops in found["stops"])  # one stop of Tab a figure, arrows from there
    assert found["first"]
    assert found["second"]
    assert found["last"]
    name, hidden, said, _ = found["read"]
    assert not hidden
    assert said.startswith(f"{name}: ")
    assert found["escaped"][0] is True
    assert found["labels"]
    assert found["hidden"] == 0
    assert min(found["size"]) >= 14
    assert found["ran"] == 0  # the page's policy lets no other script run


@pytest.mark.nightly("browser")
@needs_chromium
def test_a_hostile_name_is_pointed_at_as_text(tmp_path):
    name = 'a"b<img src=x onerror=alert(1)>%3C&amp; é'
    made = Made(tmp_path, [{"name": name}, {"name": "b"}])
    made.accuracy(name, [0.5, 0.6, 0.7], curves=False)
    made.accuracy("b", [0.5, 0.6, 0.7], curves=False)
    text = report.write(tmp_path).read_text(encoding="utf-8")
    script = """const point = d.querySelector(".point");
      return [point.dataset.name, point.getAttribute("aria-label"), d.images.length];"""
    found = look(text, script, tmp_path)
    assert found[0] == name
    assert found[1].startswith(f"{name}: Test accuracy")
    assert found[2] == 0
