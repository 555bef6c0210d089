"""A report that was made from its records holds; one changed digit anywhere in it, or in them, does not."""

import json
import random
import re
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.examples import scaled
from tests.support.made_records import Made, claim, draws, pos_embed
from tests.support.reading import changed, digits
from vitbench import report
from vitbench.records.reader import RECORDS, file_digest
from vitbench.records.record import Record
from vitbench.report.__main__ import main
from vitbench.report.text_differences import count_cells, count_numbers, count_sentences, without_drawings
from vitbench.report.verify import Verification, check, compare, verify
from vitbench.report.write_report import DRAWN_WITH, library_versions


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A small folder with everything a report may have, and its report."""
    folder = tmp_path_factory.mktemp("verify") / "pos_embed"
    variants = [{"name": "a"}, {"name": "b | c"}, {"name": "bad", "reason": "patch_size=3 does not divide img_size=8"}]
    made = Made(folder, variants, claims=[claim("b wins", "accuracy", "table 8", better="b | c", than="a")])
    made.timing({"a": 2.4e-3, "b | c": 2.6e-3})
    rng = np.random.default_rng(1)
    for name, mean in (("a", 0.9), ("b | c", 0.95)):
        made.cost(name, params=200_000, macs=3_450_000)
        made.accuracy(name, draws(rng, mean, 0.01), epochs=4)
    report.write(folder)
    return folder


@pytest.fixture(scope="module")
def anew(written, tmp_path_factory):
    """The report once more, computed once for all comparisons."""
    folder = tmp_path_factory.mktemp("anew")
    report.write(written, into=folder)
    return folder


@pytest.fixture
def copy(written, tmp_path):
    return shutil.copytree(written, tmp_path / "copy")


def damage(path, place):
    text = path.read_text(encoding="utf-8")
    path.write_text(changed(text, place), encoding="utf-8")
    return text


def first(folder, kind):
    """The lines of the records, and the index of the first one of a kind, and that record."""
    lines = (folder / RECORDS).read_text().splitlines()
    records = [Record.from_line(line.encode()) for line in lines]
    at = next(i for i, record in enumerate(records) if record.kind == kind)
    return lines, at, records[at]


def found_in(copy, anew):
    found = Verification()
    compare(copy, anew, found)
    return found.mismatches


def test_what_was_written_holds(written, capsys):
    assert main([str(written), "--verify"]) == 0
    out = capsys.readouterr().out
    assert "The report matches its records." in out
    text = (written / "report.md").read_text()
    assert f"{count_numbers(text)} numbers, {count_sentences(text)} sentences, {count_cells(text)} cells" in out
    assert f"{len((written / RECORDS).read_text().splitlines())} records by checksum" in out
    assert f"{len(list((written / 'figures').glob('*.*')))} byte for byte" in out.replace(" files", "")
    assert "12 files read" in out


def test_numbers_sentences_and_cells_are_counted_as_a_reader_would():
    text = "# Head 1\n\nOne dog ran 2.5 miles. It was 1\u202f200 m; wasn't it?\n\n| a | b |\n| --- | --: |\n| x | 3 |\n"
    assert (count_numbers(text), count_sentences(text), count_cells(text)) == (4, 3, 4)


@pytest.mark.parametrize("name", ["report.md", "report.html", "table.csv", "table.tex"])
@pytest.mark.parametrize("seed", [pytest.param(0), pytest.param(1, marks=pytest.mark.nightly("reports"))])
def test_a_changed_digit_of_the_report_is_found(copy, anew, name, seed):
    path = copy / name
    text = path.read_text(encoding="utf-8")
    places = digits(without_drawings(text) if name == "report.html" else text)
    if name == "report.html":  # a drawing's digits are thousands: the words' own, then some of the drawings'
        places = digits(text)
        words = [p for p in places if text.rfind("<svg", 0, p) <= text.rfind("</svg>", 0, p)]
        places = words if seed else random.Random(0).sample(words, 60)
    places = random.Random(seed).sample(places, min(len(places), 200 if seed else 40))
    for place in places:
        path.write_text(changed(text, place), encoding="utf-8")
        mismatches = found_in(copy, anew)
        line = text.count("\n", 0, place) + 1
        assert [m.place.split()[1].rstrip(",") for m in mismatches] == [str(line)], text[place - 40 : place + 40]
        assert mismatches[0].file == name


@settings(max_examples=scaled(10), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_changed_digit_of_a_record_is_found(copy, data):
    path = copy / RECORDS
    text = path.read_text(encoding="utf-8")
    line = data.draw(st.integers(0, text.count("\n") - 1))
    start = sum(len(other) for other in text.splitlines(keepends=True)[:line])
    places = digits(text.splitlines()[line])
    place = start + data.draw(st.sampled_from(places))
    damage(path, place)
    found = Verification()
    try:
        check(copy, found)
    finally:
        path.write_text(text, encoding="utf-8")
    wrong = [m for m in found.mismatches if m.file == RECORDS]
    assert [m.place.split(" (")[0] for m in wrong] == [f"line {line + 1}"]


@pytest.mark.nightly("reports")
def test_any_changed_digit_of_the_records_is_found(copy):
    path = copy / RECORDS
    lines = path.read_bytes().splitlines(keepends=True)
    rng = random.Random(5)
    for _ in range(150):
        at = rng.randrange(len(lines))
        line = lines[at].decode()
        own = changed(line, rng.choice(digits(line)))
        path.write_bytes(b"".join([*lines[:at], own.encode(), *lines[at + 1 :]]))
        found = Verification()
        check(copy, found)
        assert [m.place.split(" (")[0] for m in found.mismatches if m.file == RECORDS] == [f"line {at + 1}"]


def test_a_digit_that_changes_no_value_is_found_too(copy):
    """Two decimals with 17 digits may be the same double; the checksum is of the characters."""
    lines = (copy / RECORDS).read_text().splitlines()
    record = Record.from_line(lines[1].encode())
    record = Record(**{**vars(record), "seconds": 0.30000000000000004})
    line = record.line().replace("0.30000000000000004", "0.30000000000000003")
    assert json.loads(line)["seconds"] == record.seconds
    (copy / RECORDS).write_text("\n".join([*lines, line]) + "\n")
    found = Verification()
    check(copy, found)
    assert [m.place.split(" (")[0] for m in found.mismatches] == [f"line {len(lines) + 1}"]


@pytest.mark.slow
def test_a_record_with_a_checksum_of_its_own_does_not_give_the_reports_numbers(copy):
    """Whoever makes the checksum fit still has a report that says something else."""
    lines = (copy / RECORDS).read_text().splitlines()
    at, record = next(
        (i, r) for i, line in enumerate(lines) if (r := Record.from_line(line.encode())).kind == "latency"
    )
    calls = record.samples["wall"]["values"]
    calls[0] = [call * 1.5 for call in calls[0]]
    lines[at] = record.line()
    (copy / RECORDS).write_text("\n".join(lines) + "\n")
    files = {m.file for m in verify(copy).mismatches}
    assert {"report.md", "report.html", "table.csv", "table.tex"} <= files


def test_a_record_that_contradicts_itself_is_named(copy):
    lines = (copy / RECORDS).read_text().splitlines()
    at, record = next(
        (i, r) for i, line in enumerate(lines) if (r := Record.from_line(line.encode())).kind == "accuracy"
    )
    record.values["accuracy"] += 0.1
    lines[at] = record.line()
    (copy / RECORDS).write_text("\n".join(lines) + "\n")
    found = Verification()
    check(copy, found)
    (mismatch,) = found.mismatches
    assert f"line {at + 1} (accuracy of a, seed 0): its accuracy is" in str(mismatch)


def test_where_it_is_and_what_belongs_there_is_said(copy, anew):
    path = copy / "report.md"
    text = path.read_text()
    row = next(line for line in text.splitlines() if line.startswith("| `b"))
    cell = next(part.strip() for part in row.split(" | ") if "[" in part)
    path.write_text(text.replace(cell, cell.replace("9", "8", 1), 1))
    (mismatch,) = found_in(copy, anew)
    assert str(mismatch).startswith(
        f"report.md, line {text.splitlines().index(row) + 1} (Results), row `b \\| c`, colu"
    )
    assert (mismatch.here, mismatch.given) == (cell.replace("9", "8", 1), cell)


def test_prose_that_someone_wrote_over_is_named_by_its_line(copy, anew):
    path = copy / "report.md"
    lines = path.read_text().split("\n")
    at = next(i for i, line in enumerate(lines) if line.startswith("Each faint dot"))
    lines[at] = lines[at].replace("the outlined mark is the mean", "the outlined mark is something else")
    lines.insert(5, "I think that b is much better than this says.")
    path.write_text("\n".join(lines))
    first, second = (str(m) for m in found_in(copy, anew))
    assert first.startswith("report.md, line 6")
    assert first.endswith("the file has “I think that b is much better than this says.”; the records give nothing")
    assert second.startswith(f"report.md, line {at + 2} (Accuracy by variant): the file has “")
    assert "the outlined mark is something else" in second.partition("the records give")[0]
    assert "the outlined mark is the mean" in second.partition("the records give")[2]


@pytest.mark.parametrize("name", ["report.md", "report.html", "table.csv", "table.tex", "figures/accuracy.svg"])
def test_a_file_that_is_gone_is_named(copy, anew, name):
    (copy / name).unlink()
    assert [m.file for m in found_in(copy, anew)] == [name]


def test_a_line_that_is_gone_is_one_mismatch(copy, anew):
    lines = (copy / "report.md").read_text().split("\n")
    at = next(i for i, line in enumerate(lines) if line.startswith("- **Latency**"))
    (copy / "report.md").write_text("\n".join(lines[:at] + lines[at + 1 :]))
    (mismatch,) = found_in(copy, anew)
    assert (mismatch.here, mismatch.given is not None) == (None, True)


def test_a_changed_figure_is_found_where_the_libraries_are_the_same(copy, anew):
    svg = copy / "figures" / "accuracy.svg"
    damage(svg, digits(svg.read_text())[900])
    (copy / "figures" / "accuracy.png").write_bytes(b"no picture")
    assert {m.file for m in found_in(copy, anew)} == {"figures/accuracy.svg", "figures/accuracy.png"}


def test_other_libraries_draw_other_figures_and_only_the_text_is_compared(copy, anew):
    noted = json.loads((copy / DRAWN_WITH).read_text()) | {"matplotlib": "3.1.4"}
    (copy / DRAWN_WITH).write_text(json.dumps(noted))
    for path in (copy / "figures").glob("*"):
        path.write_bytes(path.read_bytes() + b" ")
    page = copy / "report.html"
    page.write_text(re.sub(r"<path d=\"M 0", '<path d="M 1', page.read_text(encoding="utf-8")), encoding="utf-8")
    table = (copy / "table.csv").read_text()
    cell = max(table.split("\n")[1].split(","), key=len)
    (copy / "table.csv").write_text(table.replace(cell, cell[:-1] + ("1" if cell[-1] != "1" else "2"), 1))
    found = Verification()
    compare(copy, anew, found)
    assert found.mismatches == []
    (note,) = found.notes
    assert f"matplotlib 3.1.4 (here {library_versions()['matplotlib']})" in note
    text = (copy / "report.md").read_text()
    damage(copy / "report.md", digits(text)[30])
    assert len(found_in(copy, anew)) == 1


def test_missing_library_versions_are_a_mismatch_and_figures_are_compared(copy, anew):
    (copy / DRAWN_WITH).unlink()
    svg = copy / "figures" / "accuracy.svg"
    damage(svg, digits(svg.read_text())[900])
    assert [m.file for m in found_in(copy, anew)] == [DRAWN_WITH, "figures/accuracy.svg"]


def test_an_environment_that_was_changed_or_is_missing_is_named(copy):
    path = copy / "environments.jsonl"
    text = path.read_text()
    for place in random.Random(2).sample(digits(text), 25):
        path.write_text(changed(text, place))
        found = Verification()
        check(copy, found)
        assert "environments.jsonl" in {m.file for m in found.mismatches}
    path.write_text("")
    found = Verification()
    check(copy, found)
    assert "of the records is missing" in str(found.mismatches[0])


def test_an_artifact_that_was_changed_is_named(copy):
    first, second, third = sorted((copy / "artifacts").glob("*.npz"))[:3]
    data = bytearray(first.read_bytes())
    with np.load(first) as arrays:
        data[data.index(arrays["train_loss"].tobytes()) + 3] ^= 1
    first.write_bytes(data)
    second.unlink()
    third.write_bytes(b"")
    found = Verification()
    check(copy, found)
    assert {m.file for m in found.mismatches} == {f"artifacts/{path.name}" for path in (first, second, third)}


def test_a_digest_in_the_record_sees_what_can_still_be_read(tmp_path):
    made = Made(tmp_path, [{"name": "a"}])
    path = tmp_path / "artifacts" / "x.npz"
    np.savez(path, epoch=np.arange(3))
    made.append("accuracy", "a", seed=0, artifacts=["x.npz"], digests={"x.npz": file_digest(path)})
    found = Verification()
    check(tmp_path, found)
    assert found.holds
    assert ("artifacts", "1 file read") in found.checked
    np.savez(path, epoch=np.arange(1, 4))
    check(tmp_path, found)
    (mismatch,) = found.mismatches
    assert "its digest does not match" in str(mismatch)


def test_an_artifacts_predictions_and_its_record_agree(tmp_path):
    made = Made(tmp_path, [{"name": "a"}])
    labels = np.arange(360) % 10
    made.accuracy("a", [1.0])
    made.looks("a", 0, labels=labels, predictions=np.where(np.arange(360) < 5, (labels + 1) % 10, labels))
    found = Verification()
    check(tmp_path, found)
    assert "its predictions are correct 355 times, its record says 360" in str(found.mismatches[0])


def test_a_damaged_record_ends_with_status_1_and_a_torn_end_does_not(copy, capsys):
    path = copy / RECORDS
    text = path.read_text()
    path.write_text(text + '{"schema":1,"id":"abc')
    assert main([str(copy), "--verify"]) == 0
    assert "note: a crash cut the last line of records.jsonl" in capsys.readouterr().out
    path.write_text(changed(text, digits(text)[-1]))
    assert main([str(copy), "--verify"]) == 1
    out = capsys.readouterr().out
    assert (
        f"MISMATCH records.jsonl, line {text.count(chr(10))} (accuracy of b | c, seed 5): not what was written" in out
    )
    assert "the report was not computed again" in out
    assert "Mismatches: 1." in out


def test_many_mismatches_are_cut_short(copy, anew):
    path = copy / "report.md"
    path.write_text(path.read_text().replace("e", "3"))
    found = Verification()
    compare(copy, anew, found)
    shown = [line for line in found.lines() if line.startswith("MISMATCH")]
    assert len(shown) == 13
    assert shown[-1].startswith("MISMATCH report.md: and ")


def test_a_folder_that_cannot_be_verified_ends_with_status_2(tmp_path, capsys):
    assert main([str(tmp_path / "nowhere"), "--verify"]) == 2
    assert "unknown results folder" in capsys.readouterr().err
    pos_embed(tmp_path / "p", seeds=1)
    assert main([str(tmp_path / "p"), "--verify"]) == 2
    assert "holds no report to verify: python -m vitbench.report" in capsys.readouterr().err


def test_verifying_changes_nothing(copy):
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in copy.rglob("*") if path.is_file()}
    verify(copy)
    assert before == {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in copy.rglob("*") if path.is_file()}


def test_several_folders_are_verified_as_they_were_written(tmp_path):
    for name in ("one", "two"):
        made = Made(tmp_path / name, [{"name": "a"}, {"name": "b"}])
        made.on(host=name)
        made.accuracy("a", [0.5] * 6, curves=False)
        made.accuracy("b", [0.6] * 6, curves=False)
    both = tmp_path / "one", tmp_path / "two"
    report.write(*both, mixed=True)
    assert verify(*both, mixed=True).holds
    assert not verify(both[0]).holds
