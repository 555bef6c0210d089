"""Whether a report follows from its records: all of it is computed again and compared with what stands there.

Read only: what is computed goes to a folder that is deleted again.
"""

from __future__ import annotations

import csv
import io
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vitbench.records import reader
from vitbench.report import compare_texts, libraries, verify_sources
from vitbench.report.exports import EFFECTS
from vitbench.report.mismatch import Mismatch
from vitbench.report.write_report import FIGURES, write
from vitbench.utils.errors import UserError

TABLE, TEX, MARKDOWN, PAGE = "table.csv", "table.tex", "report.md", "report.html"
TEXTS = (TABLE, TEX, MARKDOWN, PAGE)
DRAWN = (".svg", ".png")
SHOWN = 12
"""Mismatches of one file that are printed; of more, their number."""


@dataclass
class Verification:
    """What was found.

    Attributes:
        mismatches: everything that does not hold.
        counted: what was verified, each as (file, what of it).
        notes: what could not be verified, and why.
    """

    mismatches: list[Mismatch] = field(default_factory=list)
    counted: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not self.mismatches

    def lines(self) -> Iterator[str]:
        """As a terminal shows it."""
        for file in dict.fromkeys(m.file for m in self.mismatches):
            own = [m for m in self.mismatches if m.file == file]
            yield from (f"MISMATCH {m}" for m in own[:SHOWN])
            if len(own) > SHOWN:
                yield f"MISMATCH {file}: and {len(own) - SHOWN} more places"
        width = max((len(file) for file, _ in self.counted), default=0)
        yield "Checked:"
        yield from (f"  {file.ljust(width)}  {what}" for file, what in self.counted)
        yield from (f"note: {note}" for note in self.notes)
        if self.holds:
            yield "All of it holds: the report says what its records give."
        else:
            total = len(self.mismatches)
            yield f"{total} {'place does' if total == 1 else 'places do'} not hold."


def verify(*directories: str | Path, mixed: bool = False) -> Verification:
    """Checks records, environments and artifacts, and compares the report with one made anew from them.

    Args:
        directories: a results folder, or the folders that were given when the report was written.
        mixed: whether it was written with ``--allow-mixed``.

    Raises:
        UserError: a folder without records or without a report.
    """
    folders = [Path(directory) for directory in directories]
    found = Verification()
    for folder in folders:
        if not (folder / reader.RECORDS).is_file():
            reader.read(folder)  # says what there is instead
        check(folder, found, several=len(folders) > 1)
    folder = folders[0]
    if not any((folder / name).is_file() for name in TEXTS):
        raise UserError(f"{folder} holds no report to verify: python -m vitbench.report {folder} writes one")
    with tempfile.TemporaryDirectory(prefix="vitbench-verify-") as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an artifact that is gone has been named
        try:
            write(*folders, notice=lambda _: None, mixed=mixed, into=temporary)
        except UserError:
            if found.holds:
                raise
            found.notes.append("the report was not computed again: what it rests on does not hold")
            return found
        compare(folder, Path(temporary), found)
    return found


def check(folder: Path, found: Verification, *, several: bool = False) -> None:
    """Checks records, environments and artifacts of a folder, one of several or alone; ``found`` takes the result."""
    prefix = f"{folder}/" if several else ""
    held, wrong, notes = verify_sources.records(folder)
    number, unlike = verify_sources.environments(folder, held)
    named, digested, broken = verify_sources.artifacts(folder, held)
    mismatches = [*wrong, *unlike, *broken]
    found.mismatches += [Mismatch(prefix + m.file, m.place, m.here, m.given, m.wrong) for m in mismatches]
    found.notes += [f"{folder}: {note}" if several else note for note in notes]
    found.counted += [
        (f"{prefix}{reader.RECORDS}", f"{_n(len(held), 'record')} by checksum"),
        (f"{prefix}{reader.ENVIRONMENTS}", f"{_n(number, 'environment')} by hash"),
    ]
    if named:
        without = f", {named - digested} of them without a digest in their records" * (digested < named)
        found.counted.append((f"{prefix}{reader.ARTIFACTS}", f"{_n(named, 'file')} read{without}"))


def compare(folder: Path, anew: Path, found: Verification) -> None:
    """Compares the report in ``folder`` with the one that ``write`` put into ``anew``; ``found`` takes the result."""
    then, now = libraries.noted(folder), libraries.here()
    alike = _figures(folder / FIGURES, anew / FIGURES, found, None if then is None else libraries.apart(then, now))
    for name in [*TEXTS, *[EFFECTS] * (anew / EFFECTS).is_file()]:
        if not (folder / name).is_file():
            found.mismatches.append(Mismatch(name, wrong="is not there, but the report has links to it"))
            continue
        try:
            here = (folder / name).read_bytes().decode()
        except UnicodeDecodeError as error:
            found.mismatches.append(Mismatch(name, f"byte {error.start}", wrong="is not UTF-8, which vitbench writes"))
            continue
        given = (anew / name).read_bytes().decode()
        found.counted.append((name, _counts(name, given)))
        if here != given:
            found.mismatches += _text(name, here, given, alike=alike)


def _text(name: str, here: str, given: str, *, alike: bool) -> Iterator[Mismatch]:
    if name in {TABLE, EFFECTS}:
        return compare_texts.table(name, here, given, close=not alike)
    if name == MARKDOWN:
        return compare_texts.markdown(name, here, given)
    if name == PAGE:
        return compare_texts.page(
            name, *(text if alike else compare_texts.without_drawings(text) for text in (here, given))
        )
    return compare_texts.lines(name, here, given)


def _counts(name: str, text: str) -> str:
    if name in {TABLE, EFFECTS}:
        rows = list(csv.reader(io.StringIO(text)))[1:]
        return f"{_n(len(rows), 'row')}, {_n(sum(map(len, rows)), 'cell')}"
    words = compare_texts.said(text) if name == PAGE else text
    what = [_n(compare_texts.numbers(words), "number")]
    if name == MARKDOWN:
        what += [_n(compare_texts.sentences(text), "sentence"), _n(compare_texts.cells(text), "cell")]
    return ", ".join(what)


def _figures(here: Path, given: Path, found: Verification, apart: str | None) -> bool:
    """Compares the figures byte for byte, and says whether the same libraries drew them.

    Args:
        here: the folder of those that stand there.
        given: that of those drawn now.
        found: takes what is found.
        apart: which libraries have other versions than when the report was written; None where they were not noted:
            then one figure that is the same byte for byte shows that the libraries are.
    """
    made = sorted(path.name for path in given.iterdir() if path.suffix in DRAWN)
    there = [name for name in made if (here / name).is_file()]
    found.mismatches += [Mismatch(f"{FIGURES}/{name}", wrong="is not there") for name in made if name not in there]
    stale = sorted({path.name for path in here.glob("*") if path.suffix in DRAWN} - set(made))
    found.notes += [f"{FIGURES}/{name} is no figure of this report, and was not looked at" for name in stale]
    same = [name for name in there if (here / name).read_bytes() == (given / name).read_bytes()]
    if not apart and (apart is not None or same or not there):
        found.mismatches += [_drawing(name, here / name, given / name) for name in there if name not in same]
        found.counted.append((FIGURES, f"{_n(len(there), 'file')} byte for byte"))
        return True
    found.counted.append((FIGURES, f"{_n(len(same), 'file')} byte for byte, {len(there) - len(same)} not compared"))
    found.notes.append(
        f"the figures were drawn by libraries of other versions: {apart or 'which was not noted then'}; they, and the "
        f"drawings in {PAGE}, were not compared, and numbers in {TABLE} to 9 digits"
    )
    return False


def _drawing(name: str, here: Path, given: Path) -> Mismatch:
    """Where a figure differs: in an SVG the line, in a PNG nothing that could be said."""
    file = f"{FIGURES}/{name}"
    if name.endswith(".svg"):
        both = (path.read_text(encoding="utf-8", errors="replace") for path in (here, given))
        first: Sequence[Mismatch] = list(compare_texts.lines(file, *both))[:1]
        if first:
            return first[0]
    return Mismatch(file, wrong="is not the picture that the records give")


def _n(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}".replace(",", "\N{NARROW NO-BREAK SPACE}")
