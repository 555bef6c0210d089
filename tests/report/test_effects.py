"""What a grid's report says of main effects and interactions, in words, tables, figures and files."""

import csv
import itertools
import re
import shutil

import pytest

from tests.support.browser import look, needs_chromium
from tests.support.made_grid import AXES, HOLE, made_grid
from tests.support.reading import changed, digits, part
from vitbench import report
from vitbench.report import figures, markdown, page, shown_variants
from vitbench.report.verify import Verification, compare, verify
from vitbench.stats import effects
from vitbench.tables.compare import comparisons
from vitbench.tables.frames import table
from vitbench.tables.study import read_study

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
    """The report in Markdown with its first two pictures, which are those of a grid's effects; nothing is written."""
    study = read_study(folder)
    compared = comparisons(study)
    tabulated = table(study, compared)
    drawn = list(itertools.islice(figures.draw(study, tabulated, compared), 2))
    return markdown.render(page.compose(study, tabulated, compared, drawn))


def test_each_axis_has_its_sentences(text):
    found = part(text, "Main effects")
    assert re.search(
        r"Averaged over all settings of the other axes, in accuracy, against `depth=4`: `depth=2` is worse by "
        r"\d\.\d points \[\d\.\d, \d\.\d\] and `depth=8` is worse by \d\.\d points",
        found,
    )
    assert re.search(
        r"in latency, against `embed_dim=32`: `embed_dim=64` is slower by 99\.\d% \[|slower by 100\.\d% \[", found
    )
    assert "lack" not in found


def test_interactions_are_told_and_those_not_found_are_bounded(text):
    found = part(text, "Interactions")
    assert re.search(
        r"`depth` and `pos_embed` interact in accuracy: with `pos_embed=none` instead of `pos_embed=learned`, what "
        r"`depth=8` does against `depth=4` is lower by [56]\.\d points \[\d\.\d, \d\.\d\]\.",
        found,
    )
    assert re.search(
        r"No interaction in accuracy was found of `depth` with `embed_dim`, nor of `embed_dim` with `pos_embed`: the "
        r"intervals leave room for ±\d\.\d points at most\.",
        found,
    )


def test_the_bound_is_the_farthest_end_of_the_intervals(folder, text):
    """What the file says of the pairs that the sentence names."""
    said = re.search(r"No interaction in accuracy .* room for ±(\d+\.\d) points", text)[1]
    with (folder / "effects.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["axis_2"]]
    quiet = [row for row in rows if (row["axis"], row["axis_2"]) != ("depth", "pos_embed")]
    assert len(quiet) == 3
    ends = [abs(float(row[f"accuracy_delta_{end}"])) for row in quiet for end in ("low", "high")]
    assert f"{100 * max(ends):.1f}" == said


def test_the_answer_says_what_is_decided(text):
    found = part(text, "The answer")
    assert (
        "Averaged over all settings of the other axes, in accuracy: against `depth=4`, `depth=2` is worse by" in found
    )
    assert "; against `embed_dim=32`, `embed_dim=64` is better by" in found
    assert (
        "In accuracy these axes interact: `depth` with `pos_embed`. Where two axes interact, the average of one"
        in found
    )


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
    assert ("effects.csv", f"9 rows, {9 * (whole.partition(chr(10))[0].count(',') + 1)} cells") in found.counted
    path.unlink()
    found = Verification()
    compare(copy, anew, found)
    assert [str(m) for m in found.mismatches] == ["effects.csv: is not there, but the report has links to it"]


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
    assert f"In accuracy 1 of 12 cells lack the value of some seed, or all: `{HOLE}`." in main
    assert f"In latency 1 of 12 cells lack a value: `{HOLE}`." in main
    assert "11 of 12 cells were measured: effects are those of a least-squares fit of main effects and two-way" in main


def test_what_cannot_be_told_is_said_with_its_reason(tmp_path):
    axes = {**AXES, "pos_embed": ["learned"]}
    made = made_grid(tmp_path, axes=axes, without=("depth=8,embed_dim=64,pos_embed=learned",))
    found = said(made.folder)
    assert "`depth=8`: not estimable: the cells that are missing leave it open" in part(found, "Main effects")
    undecided = (
        "Nothing is decided in accuracy on an interaction of `depth` with `embed_dim`: not estimable: the cells "
    )
    assert undecided in part(found, "Interactions")


def test_more_interactions_than_are_fitted_are_missed_aloud(tmp_path, monkeypatch):
    text = said(made_grid(tmp_path).folder)
    assert "Interactions are not given" not in text
    monkeypatch.setattr(effects, "LARGEST", 6)  # main effects take five
    text = said(tmp_path)
    (number,) = re.findall(r"Interactions are not given: there would be (\d+), more than are fitted\.", text)
    levels = [len(own) for own in AXES.values()]
    assert int(number) == sum((a - 1) * (b - 1) for a, b in itertools.combinations(levels, 2))
    assert "Averaged over all settings of the other axes" in text


def test_few_seeds_are_exploratory(tmp_path):
    found = said(made_grid(tmp_path, seeds=2).folder)
    assert "Averaged over" not in part(found, "The answer")
    assert "nothing is decided for `depth=2` and `depth=8`: only 2 seeds in common (a verdict takes 6)" in found
    assert "on an interaction of `depth` with `embed_dim`, `depth` with `pos_embed` or of `embed_dim` with" in found


def test_of_many_variants_effects_are_of_all_and_figures_say_what_they_leave_out(tmp_path):
    """56 cells, of which other figures show 24; seven levels of depth have no room for a line each."""
    made = made_grid(tmp_path, axes=MANY, base={"depth": 4, "embed_dim": 32, "pos_embed": "learned"})
    found = said(made.folder)
    assert f"figures show {shown_variants.DRAWN}" in found
    main, pairs = part(found, "Main effects"), part(found, "Interactions")
    assert "Shown: 24" not in main + pairs
    assert main.count("\n| `") == 2 * (6 + 7)
    assert "Of an axis with more levels 6 have a line; effects.csv has all." in pairs
    assert "7 of 7 levels" in main


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
