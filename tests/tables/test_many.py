"""Very many records: cut with words, read in little memory, in time that grows with their number and no faster."""

import json

import pandas as pd
import pytest

from tests.support.made_records import Made
from tests.tables import many
from vitbench import report, tables
from vitbench.records import reader
from vitbench.records.record import Record
from vitbench.report import shown_variants
from vitbench.report.elements import names, plain

pytestmark = pytest.mark.slow

GIB = 2**30


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """4,000 records of 500 variants, reported."""
    made = tmp_path_factory.mktemp("many")
    many.write(made, 4000)
    report.write(made)
    return made


def test_the_lines_are_those_that_a_run_writes(folder):
    lines = (folder / "records.jsonl").read_bytes().splitlines()
    for line in [lines[0], *lines[1:20]]:
        assert Record.from_line(line).line().encode() == line


def test_read_together_records_are_what_each_line_says(folder):
    lines = (folder / "records.jsonl").read_bytes().splitlines()
    together = reader.read(folder)
    assert len(together) == len(lines) == 4001
    assert [r.line().encode() for r in together[:200]] == lines[:200]
    assert together[1].config is together[3].config
    assert together[3].settings is together[4].settings


def test_a_changed_byte_is_found_in_what_was_read_before(folder, tmp_path):
    """Fields that stood in an earlier line are not read again: a damaged one must not pass for them."""
    lines = (folder / "records.jsonl").read_bytes().splitlines(keepends=True)[:12]
    for old, new in (
        (b'"dtype":', b'"dtypo":'),
        (b'"depth":4,"num_heads"', b'"depth":5,"num_heads"'),
        (b'"dirty":', b'"dirtY":'),
    ):
        (tmp_path / "records.jsonl").write_bytes(b"".join([*lines[:2], lines[2].replace(old, new, 1), *lines[3:]]))
        if lines[2].count(old):
            with pytest.raises(reader.UserError, match="line 3 is not what was written"):
                reader.read(tmp_path)


def test_every_variant_is_in_the_table_and_some_in_the_report(folder):
    table = pd.read_csv(folder / "table.csv")
    assert len(table) == 500
    assert table["accuracy"].notna().all()
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert (
        f"Of 500 variants, figures show {shown_variants.DRAWN}, tables {shown_variants.ROWS}: the baseline and those "
        "with the highest validation accuracy" in text
    )
    rows = text.partition("## Results")[2].partition("As files")[0].count("\n| `")
    assert rows == shown_variants.ROWS
    assert text.count(f"{shown_variants.ROWS} of 500 variants: the baseline and those with the highest valid") == 4


def test_those_shown_are_the_best_on_the_validation_split(folder):
    study = tables.read_study(folder)
    kept = shown_variants.in_figures(study)
    best = {v.name: 0.0 for v in study.variants}
    for record in reader.read(folder):
        if record.kind == "accuracy":
            best[record.variant] += record.values["val_accuracy"]
    first = sorted((name for name in best if name != study.baseline), key=lambda name: -best[name])
    assert kept == {study.baseline, *first[: shown_variants.DRAWN - 1]}
    figures = (folder / "figures" / "accuracy.svg").read_text(encoding="utf-8")
    assert figures.count(f'id="{"point-"}') == shown_variants.DRAWN


def test_the_terminal_says_how_many_rows_it_leaves_out(folder):
    heads, rows = report.terminal_table(folder)
    assert len(rows) == shown_variants.ROWS + 1
    assert rows[-1][0] == "and 100 more, in table.csv"
    assert len(rows[-1]) == len(heads)


def test_a_sweep_that_has_only_begun_names_some_of_what_is_to_come(tmp_path):
    Made(tmp_path, [{"name": f"v{i}"} for i in range(450)])
    report.write(tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "450 variants lack results: the first 400 are listed below" in text
    assert text.count("**not run yet**") == 400
    assert "the baseline and the first of the plan" in text


def test_a_sentence_names_no_more_than_it_can_bear():
    assert plain(names("abc")) == "a, b and c"
    assert plain(names(map(str, range(40)))).endswith("38 and 39")
    assert plain(names(map(str, range(1012)))).endswith("10, 11 and 1\N{NARROW NO-BREAK SPACE}000 more")


@pytest.mark.nightly("scale")
@pytest.mark.timeout(600)
def test_time_grows_with_the_number_of_records_and_memory_stays_under_a_gibibyte(tmp_path):
    took = {}
    for number in (10_000, 40_000):
        many.write(tmp_path / str(number), number)
        took[number] = many.reported(tmp_path / str(number), tables_only=True)
    few, more = took[10_000], took[40_000]
    assert few.keys() == {"load", "tabulate", "all", "peak"}, json.dumps(took)
    for stage in ("load", "tabulate"):
        assert more[stage] < 4 * 1.75 * few[stage], json.dumps(took)  # four times the records; by the square: 16
    whole = many.reported(tmp_path / "40000")
    record = (more["peak"] - few["peak"]) / 30_000
    assert whole["peak"] + 60_000 * record < GIB, json.dumps([took, whole])
