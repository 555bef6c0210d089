"""The report of a grid: main effects and interactions in tables, figures and files."""

import csv
import itertools
import re
import shutil

import pytest

from tests.support.browser import look, needs_chromium
from tests.support.made_grid import AXES, HOLE, made_grid
from tests.support.reading import changed, digits, part
from vitbench import report
from vitbench.report import markdown, page, shown_variants
from vitbench.report.sections import all_sections
from vitbench.report.verify import Verification, compare, verify
from vitbench.stats import effects as estimator
from vitbench.tables.compare import comparisons
from vitbench.tables.frames import table
from vitbench.tables.study import read_study

pytestmark = pytest.mark.slow

MANY = {"depth": [1, 2, 3, 4, 6, 8, 12], "embed_dim": [32, 64, 96, 128, 160, 192, 256, 384], "pos_embed": ["learned"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = made_grid(tmp_path_factory.mktemp("effects"))
    report.write(made.folder)
    return made.folder


@pytest.fixture(scope="module")
def text(folder):
    return (folder / "report.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def anew(folder, tmp_path_factory):
    target = tmp_path_factory.mktemp("anew")
    report.write(folder, into=target)
    return target


def said(folder):
    """The report in Markdown with its first two sections, which are those of a grid's effects; nothing is written."""
    study = read_study(folder)
    compared = comparisons(study)
    tabulated = table(study, compared)
    drawn = list(itertools.islice(all_sections(study, tabulated, compared), 2))
    return markdown.render(page.compose(study, tabulated, compared, drawn))


def row(found, *names):
    """The cells of the table row that begins with these names."""
    start = "".join(rf"\| `{re.escape(name)}` +" for name in names)
    (line,) = re.findall(rf"^{start}\|(.*)\|$", found, flags=re.MULTILINE)
    return [cell.strip() for cell in line.split(" | ")]


def effects(found):
    """The first table of a section, which has the effects on accuracy and latency."""
    return found.split("| Setting")[1]


def test_each_level_has_its_effects_and_verdicts(text):
    found = effects(part(text, "Main effects"))
    for level in ("depth=2", "depth=8"):
        value, verdict, *_ = row(found, level, "depth=4")
        assert re.fullmatch(r"[+−]\d+\.\d \[\S+, \S+\]", value)
        assert verdict.startswith(("worse by", "better by"))


def test_interactions_have_verdicts_and_intervals(folder, text):
    """The planted one is found, with the numbers of the file; the others are not."""
    found = part(text, "Interactions")
    value, verdict, *_ = row(found, "depth=8", "depth=4", "pos_embed=none", "pos_embed=learned")
    assert re.fullmatch(r"lower by [56]\.\d points \[\d\.\d, \d\.\d\]", verdict)
    with (folder / "effects.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["axis_2"]]
    planted = next(r for r in rows if (r["level"], r["axis_2"], r["level_2"]) == ("8", "pos_embed", "none"))
    ends = [f"{100 * abs(float(planted[f'accuracy_delta{end}'])):.1f}" for end in ("", "_low", "_high")]
    assert re.findall(r"\d+\.\d", value) == ends
    others = [r for r in rows if (r["axis"], r["axis_2"]) != ("depth", "pos_embed")]
    assert len(others) == 3
    assert not any(r["accuracy_delta_verdict"].startswith(("higher", "lower")) for r in others)


def test_the_answer_says_what_is_decided(text):
    found = part(text, "Answer")
    assert (
        "Averaged over all settings of the other axes, in accuracy: against `depth=4`, `depth=2` is worse by" in found
    )
    assert "; against `embed_dim=32`, `embed_dim=64` is better by" in found
    assert "These axes interact in accuracy: `depth` with `pos_embed`." in found


def test_tables_and_files_have_every_effect(folder, text):
    main, pairs = part(text, "Main effects"), part(text, "Interactions")
    assert main.count("\n| `") == 4 + 4  # effects, and what they cost
    assert pairs.count("\n| `") == 5
    assert re.search(r"\| `depth=8` +\| `depth=4` +\| +[12]\.\d+ \[\S+, \S+\] \| +2\.000 \|", main)
    assert "[effects.csv](effects.csv) (main effects and interactions in full precision)" in text
    assert "effects.csv" in (folder / "report.html").read_text(encoding="utf-8")
    latex = (folder / "table.tex").read_text(encoding="utf-8")
    assert r"\label{tab:shape-main-effects}" in latex
    assert r"\label{tab:shape-interactions}" in latex
    assert {path.stem for path in (folder / "figures").iterdir()} >= {"main_effects", "interactions"}


@pytest.mark.nightly("reports")
def test_it_holds_and_one_changed_digit_of_the_file_does_not(folder, anew, tmp_path):
    assert verify(folder).holds
    copy = shutil.copytree(folder, tmp_path / "copy")
    path = copy / "effects.csv"
    whole = path.read_text(encoding="utf-8")
    for place in digits(whole)[60::500]:
        path.write_text(changed(whole, place), encoding="utf-8")
        found = Verification()
        compare(copy, anew, found)
        assert [m.file for m in found.mismatches] == ["effects.csv"]
    assert ("effects.csv", f"9 rows, {9 * (whole.partition(chr(10))[0].count(',') + 1)} cells") in found.checked
    path.unlink()
    found = Verification()
    compare(copy, anew, found)
    assert [str(m) for m in found.mismatches] == ["effects.csv: is missing, but the report links to it"]


def test_the_same_records_give_the_same_bytes(folder, anew):
    for name in ("effects.csv", "figures/main_effects.svg", "figures/interactions.png"):
        assert (folder / name).read_bytes() == (anew / name).read_bytes()


def test_no_grid_no_effects(tmp_path):
    made = made_grid(tmp_path, design="one_at_a_time")
    report.write(made.folder)
    assert not (tmp_path / "effects.csv").exists()
    assert "effects" not in (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "main_effects" not in {path.stem for path in (tmp_path / "figures").iterdir()}


def test_missing_cells_are_named_with_what_that_takes(tmp_path):
    found = said(made_grid(tmp_path, without=(HOLE,)).folder)
    main = part(found, "Main effects")
    hole = HOLE.replace("_", r"\_")
    assert f"1 of 12 cells lack accuracy for some seed: {hole}." in main
    assert f"1 of 12 cells lack latency: {hole}." in main
    assert "11 of 12 cells were measured; the effects are a least-squares fit" in main


def test_what_cannot_be_told_is_said_with_its_reason(tmp_path):
    axes = {**AXES, "pos_embed": ["learned"]}
    made = made_grid(tmp_path, axes=axes, without=("depth=8,embed_dim=64,pos_embed=learned",))
    found = said(made.folder)
    reason = "not estimable: the cells that are missing leave it open"
    assert any(reason in cell for cell in row(effects(part(found, "Main effects")), "depth=8", "depth=4"))
    assert part(found, "Interactions").count(reason) >= 1


def test_more_interactions_than_are_fitted_are_missed_aloud(tmp_path, monkeypatch):
    text = said(made_grid(tmp_path).folder)
    assert "Interactions are not estimated" not in text
    monkeypatch.setattr(estimator, "LARGEST", 6)  # main effects take five
    text = said(tmp_path)
    (number,) = re.findall(r"Interactions are not estimated: (\d+) would be too many to fit\.", text)
    levels = [len(own) for own in AXES.values()]
    assert int(number) == sum((a - 1) * (b - 1) for a, b in itertools.combinations(levels, 2))
    assert "## Main effects" in text


def test_few_seeds_are_exploratory(tmp_path):
    found = said(made_grid(tmp_path, seeds=2).folder)
    assert "Averaged over" not in part(found, "Answer")
    for title in ("Main effects", "Interactions"):
        verdicts = re.findall(r"\d\] \| (\w+)[^|]*\| ", effects(part(found, title)))
        assert set(verdicts) == {"exploratory"}


def test_of_many_variants_effects_are_of_all_and_figures_say_what_they_leave_out(tmp_path):
    """56 cells, of which other figures show 24; seven levels of depth have no room for a line each."""
    made = made_grid(tmp_path, axes=MANY, base={"depth": 4, "embed_dim": 32, "pos_embed": "learned"})
    found = said(made.folder)
    assert f"figures show {shown_variants.DRAWN}" in found
    main, pairs = part(found, "Main effects"), part(found, "Interactions")
    assert "Shown: 24" not in main + pairs
    assert main.count("\n| `") == 2 * (6 + 7)
    assert "Of an axis with more levels 6 have a line; effects.csv has all." in pairs
    slower = [line for line in effects(main).splitlines() if line.startswith("| `embed_dim=") and "| slower by" in line]
    assert len(slower) == 7


@pytest.mark.nightly("browser")
@needs_chromium
def test_a_browser_shows_figures_and_tables_of_effects(folder, tmp_path):
    script = """
    const heading = (id) => d.querySelector(`h2#${id}`);
    const after = (id, tag) => {
      let e = heading(id);
      while (e && !e.matches(tag)) e = e.nextElementSibling;
      return e;
    };
    const height = (id) => after(id, "figure").querySelector("svg").getBoundingClientRect().height;
    const table = after("main_effects", "div.scroll").querySelector("table");
    const heads = [...table.tHead.rows[0].cells].map((c) => c.querySelector("button") ? c.textContent.trim() : null);
    const verdict = [...table.tHead.rows[0].cells][3].querySelector("button");
    verdict.click(); verdict.click();
    return {
      heads, best: table.tBodies[0].rows[0].cells[0].textContent,
      drawn: ["main_effects", "interactions"].map(height),
      wide: d.documentElement.scrollWidth <= w.innerWidth,
      link: [...d.querySelectorAll("a")].some((a) => a.getAttribute("href") === "effects.csv"),
    };
    """
    page = (folder / "report.html").read_text(encoding="utf-8")
    found = look(page, script, tmp_path)
    assert found["best"] == "embed_dim=64"
    assert all(height > 150 for height in found["drawn"])
    assert found["wide"]
    assert found["link"]
    assert None not in found["heads"]
