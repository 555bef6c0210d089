"""Every number that scatters has its n and its interval, or says "no interval"; too few seeds decide nothing.

Targets 11 and 12 of MEASUREMENT.md. What is exact, and so needs no interval, is named here: a new column or sentence
is taken to scatter until someone says that it does not.
"""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.examples import scaled
from tests.support.made_curves import curves
from tests.support.made_families import two_families
from tests.support.made_grid import HOLE, made_grid
from tests.support.made_records import Made, claim, pos_embed, vit_vs_resnet
from tests.support.made_roofs import under_roofs
from tests.support.made_tuned import made_tuned
from vitbench import report
from vitbench.report import cells, page
from vitbench.report.elements import Table, plain
from vitbench.report.sections import all_sections
from vitbench.tables.compare import comparisons
from vitbench.tables.frames import table
from vitbench.tables.study import read_study
from vitbench.utils.format import MISSING

pytestmark = pytest.mark.slow

NO = "no interval"
COUNTED = {
    *("Seeds", "n", "Level", "Training images", "Test images", "Images", "Layers", "Misses"),
    *("Parameters", "MACs per image", "FLOPs per image", "Activations per image"),
    *("Peak memory, inference (MiB)", "Peak memory, training (MiB)"),
    *("Learning rate", "Weight decay", "p (t)", "p (sign flip)"),
    *("Receptive field by stage (px)", "Covers the image from", "Variants", "Tries", "Failed"),
}
"""Headings of numbers that are counted, modelled or set: they have no spread, or are themselves about one."""

EXACT = {"Data", "Chance", "Device"}
"""Rows of the scope that hold no number which was measured."""

RAW = re.compile(r"seed \d+")
N = re.compile(r"\d (seeds|blocks|processes|windows|draws)|(seeds|blocks|processes|windows|draws) \d")
BESIDE = re.compile(
    r"""
      [<>]?[+−-]?[\d\u202f]+(\.\d+)?(%|\ points?|\ ms|\ images)?,?\ \[[^\]]*\]   # a number and its interval
    | \[[^\]]*\]
    | smallest\ effect\ detectable\ \S+(\ points)?                             # what a test could have found
    | ±[\d.]+(%|\ points?)? | margin\ \S+ | level\ [\d.]+% | target\ \S+       # what was asked for
    | (at\ least|more\ than)\ [\d.]+% | within\ [\d.]+%
    | asked:\ \S+\ to\ \S+
    | one\ image\ is\ \S+\ points | chance\ \([\d.]+%\)                         # exact, from the data set
    | (learning\ rate|weight\ decay)\ [\d.]+(\ to\ [\d.]+)?
    | \S+\ points\ in\ each\ of\ \d+\ seeds;\ without\ spread,\ no\ test
    """,
    re.VERBOSE,
)

MADE = {
    "axes": pos_embed,
    "few seeds": lambda folder: pos_embed(folder, seeds=2),
    "one seed": lambda folder: pos_embed(folder, seeds=1),
    "control failed": lambda folder: pos_embed(folder, control=1.1),
    "families": vit_vs_resnet,
    "outcomes": two_families,
    "tuned": made_tuned,
    "sizes": curves,
    "roofline": under_roofs,
    "grid": made_grid,
    "grid with a hole, few seeds": lambda folder: made_grid(folder, without=(HOLE,), seeds=2),
}


AT_NIGHT = ("one seed", "control failed", "axes", "families", "grid")


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.nightly("reports")) if name in AT_NIGHT else name for name in MADE],
)
def composed(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("numbers")
    MADE[request.param](folder)
    study = read_study(folder)
    compared = comparisons(study)
    tabulated = table(study, compared)
    return page.compose(study, tabulated, compared, list(all_sections(study, tabulated, compared)))


def tables_of(composed):
    yield from (composed.results, composed.costs, *composed.details.values())
    yield from (table for section in composed.sections for table in section.tables)


def bare(table):
    """Cells that hold a number which scatters, without an interval."""
    for at, head in enumerate(table.heads):
        if table.numeric[at] and head not in COUNTED and not RAW.fullmatch(head):
            for row in table.rows:
                if re.search(r"\d", row[at].text) and "[" not in row[at].small and NO not in row[at].small:
                    yield f"{table.title}, {head}: {row[at].text} {row[at].small}"


def test_every_number_in_a_table_has_an_interval_or_says_that_it_has_none(composed):
    for grid in tables_of(composed):
        assert NO in grid.caption or not list(bare(grid)), next(bare(grid))


def test_every_table_with_an_interval_says_its_n(composed):
    for grid in tables_of(composed):
        if any("[" in cell.small for row in grid.rows for cell in row):
            per_row = {"Seeds", "n"} & set(grid.heads)
            assert per_row or N.search(grid.caption), grid.title
            for at, head in enumerate(grid.heads):
                if ("atency" in head or "step" in head) and any("[" in row[at].small for row in grid.rows):
                    assert "n" in grid.heads or re.search(r"\d blocks", grid.caption), grid.title


def test_every_number_in_a_sentence_has_an_interval_or_says_that_it_has_none(composed):
    said = [plain(phrase) for phrase in (*composed.answer, *composed.caveats)]
    said += [plain(claim.because) for claim in composed.claims if "(counted, no interval)" not in plain(claim.because)]
    said += [section.caption for section in composed.sections]
    said += [f"{name} {value}" for name, value in composed.scope if name not in EXACT]
    for sentence in said:
        if NO not in sentence:
            left = BESIDE.sub("", re.sub(r"\w+=\S+", "", sentence))
            assert not re.search(r"\d\.\d", left), (left, sentence)


def test_every_description_says_where_the_intervals_of_its_numbers_are(composed):
    for section in composed.sections:
        if re.search(r"\d\.\d", re.sub(r"\w+=\S+|from [\d.]+ to [\d.]+ px", "", section.alt)):
            counted = "MACs" in section.alt
            assert counted or NO in section.alt or "has their intervals" in section.alt, section.alt


def test_a_number_of_one_seed_says_that_it_has_no_interval(tmp_path):
    pos_embed(tmp_path, seeds=1)
    report.write(tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert re.search(r"\d\.\d no interval", text)
    assert re.search(r"`pos_embed=learned` \(\d+\.\d%, no interval\)", text)


def test_a_column_nobody_has_thought_of_would_be_found():
    """The check above sees a number without an interval, so that a passing report is no accident."""
    columns = {"Variant": cells.name, "Joules": lambda _: cells.number(1.5)}
    assert list(bare(Table.of("New", ["a"], columns, "")))
    assert not list(bare(Table.of("New", ["a"], {**columns, "Joules": lambda _: cells.estimate(1.5, 1, 2, str)}, "")))
    assert MISSING not in "0123456789"


# --- target 12 ----------------------------------------------------------------------------------------------------

FEW = st.lists(st.integers(0, 360).map(lambda right: right / 360), min_size=1, max_size=5)


@settings(max_examples=scaled(4), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(few=FEW, many=st.lists(st.floats(0, 1), min_size=6, max_size=9), planted=st.booleans())
def test_fewer_than_six_seeds_never_decide_an_accuracy(tmp_path_factory, few, many, planted):
    """Whatever the accuracies are, and however many seeds the other has."""
    folder = tmp_path_factory.mktemp("few")
    ours = [1.0] * len(few) if planted else few
    claims = [
        claim("b wins", "accuracy", "", better="b", than="a"),
        claim("c wins", "accuracy", "", better="c", than="b"),
    ]
    made = Made(folder, [{"name": "a"}, {"name": "b"}, {"name": "c"}], claims=claims)
    made.accuracy("a", [accuracy * (0.5 if planted else 1) for accuracy in many], curves=False)
    made.accuracy("b", ours, curves=False)
    made.accuracy("c", ours[::-1], curves=False)
    study = read_study(folder)
    compared = comparisons(study)
    assert set(compared["kind"][compared["metric"] == "accuracy"]) == {"exploratory"}
    tabulated = table(study, compared)
    composed = page.compose(study, tabulated, compared, [])
    assert {judged.outcome for judged in composed.claims} == {"not resolved"}
    shown = [cell.text for table in tables_of(composed) for row in table.rows for cell in row]
    said = " ".join([*shown, *(plain(sentence) for sentence in composed.answer)])
    assert not re.search(r"\b(better|worse|equivalent)\b", said)
