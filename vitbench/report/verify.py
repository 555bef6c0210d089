"""Verifies that a report follows from its records: everything is computed again and compared with the report's files.

Nothing is changed: the new report goes to a temporary folder.
"""

from __future__ import annotations

import csv
import io
import json
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from vitbench.records import reader
from vitbench.report import verify_records
from vitbench.report.elements import counted
from vitbench.report.page import EFFECTS
from vitbench.report.text_differences import (
    Mismatch,
    count_cells,
    count_numbers,
    count_sentences,
    csv_differences,
    differences,
    visible_text,
    without_drawings,
)
from vitbench.report.write_report import DRAWN_WITH, FIGURES, library_versions, write
from vitbench.utils.errors import UserError

TEXTS = ("table.csv", "table.tex", "report.md", "report.html")
SHOWN = 12
"""Mismatches of one file that are printed; the rest are counted."""


@dataclass
class Verification:
    """The result of a verification.

    Attributes:
        mismatches: everything that does not match.
        checked: what was verified, each as (file, what of it).
        notes: what could not be verified, and why.
    """

    mismatches: list[Mismatch] = field(default_factory=list)
    checked: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether everything matches."""
        return not self.mismatches

    def lines(self) -> Iterator[str]:
        """The lines for a terminal."""
        for file in dict.fromkeys(m.file for m in self.mismatches):
            own = [m for m in self.mismatches if m.file == file]
            yield from (f"MISMATCH {m}" for m in own[:SHOWN])
            if len(own) > SHOWN:
                yield f"MISMATCH {file}: and {len(own) - SHOWN} more places"
        width = max((len(file) for file, _ in self.checked), default=0)
        yield "Checked:"
        yield from (f"  {file.ljust(width)}  {what}" for file, what in self.checked)
        yield from (f"note: {note}" for note in self.notes)
        total = len(self.mismatches)
        yield f"Mismatches: {counted(total)}." if total else "The report matches its records."


def verify(*directories: str | Path, mixed: bool = False) -> Verification:
    """Checks records, environments and artifacts, and compares the report with a new one.

    Args:
        directories: a results folder, or the folders from which the report was written.
        mixed: whether it was written with ``--allow-mixed``.

    Raises:
        UserError: a folder without records or without a report.
    """
    folders = [Path(directory) for directory in directories]
    found = Verification()
    for folder in folders:
        if not (folder / reader.RECORDS).is_file():
            reader.read(folder)  # raises with the folders that exist
        check(folder, found, several=len(folders) > 1)
    folder = folders[0]
    if not any((folder / name).is_file() for name in TEXTS):
        raise UserError(f"{folder} holds no report to verify: python -m vitbench.report {folder} writes one")
    with tempfile.TemporaryDirectory(prefix="vitbench-verify-") as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a missing artifact is a mismatch already
        try:
            write(*folders, notice=lambda _: None, mixed=mixed, into=temporary)
        except UserError:
            if found.holds:
                raise
            found.notes.append("the report was not computed again, because its records are damaged")
            return found
        compare(folder, Path(temporary), found)
    return found


def check(folder: Path, found: Verification, *, several: bool = False) -> None:
    """Adds to ``found`` the check of a folder's records, environments and artifacts; it is one of ``several``."""
    prefix = f"{folder}/" if several else ""
    kept, wrong, notes = verify_records.records(folder)
    number, changed = verify_records.environments(folder, kept)
    artifacts, broken = verify_records.artifacts(folder, kept)
    found.mismatches += [replace(m, file=prefix + m.file) for m in (*wrong, *changed, *broken)]
    found.notes += [f"{folder}: {note}" if several else note for note in notes]
    found.checked += [
        (f"{prefix}{reader.RECORDS}", f"{counted(len(kept), 'record')} by checksum"),
        (f"{prefix}{reader.ENVIRONMENTS}", f"{counted(number, 'environment')} by hash"),
    ]
    if artifacts:
        found.checked.append((f"{prefix}{reader.ARTIFACTS}", f"{counted(artifacts, 'file')} read"))


def compare(folder: Path, anew: Path, found: Verification) -> None:
    """Adds to ``found`` the comparison of the report in ``folder`` with the new one in ``anew``."""
    same_libraries = _compare_figures(folder, anew / FIGURES, found)
    for name in [*TEXTS, *[EFFECTS] * (anew / EFFECTS).is_file()]:
        if not (folder / name).is_file():
            found.mismatches.append(Mismatch(name, wrong="is missing, but the report links to it"))
            continue
        try:
            here = (folder / name).read_bytes().decode()
        except UnicodeDecodeError as error:
            found.mismatches.append(Mismatch(name, f"byte {error.start}", wrong="is not UTF-8"))
            continue
        given = (anew / name).read_bytes().decode()
        found.checked.append((name, _contents(name, given)))
        if name.endswith(".html") and not same_libraries:
            here, given = without_drawings(here), without_drawings(given)
        if here != given and name.endswith(".csv"):
            found.mismatches += csv_differences(name, here, given, close=not same_libraries)
        elif here != given:
            found.mismatches += differences(name, here, given)


def _contents(name: str, text: str) -> str:
    """How much of a file was compared."""
    if name.endswith(".csv"):
        rows = list(csv.reader(io.StringIO(text)))[1:]
        return f"{counted(len(rows), 'row')}, {counted(sum(map(len, rows)), 'cell')}"
    numbers = counted(count_numbers(visible_text(text) if name.endswith(".html") else text), "number")
    if not name.endswith(".md"):
        return numbers
    return f"{numbers}, {counted(count_sentences(text), 'sentence')}, {counted(count_cells(text), 'cell')}"


def _compare_figures(folder: Path, anew: Path, found: Verification) -> bool:
    """Compares the figures byte for byte if the same libraries drew them; whether they are the same."""
    here = folder / FIGURES
    made = sorted(path.name for path in anew.iterdir())
    there = [name for name in made if (here / name).is_file()]
    found.mismatches += [Mismatch(f"{FIGURES}/{name}", wrong="is missing") for name in made if name not in there]
    stale = sorted({path.name for path in here.glob("*") if path.suffix in {".svg", ".png"}} - set(made))
    found.notes += [f"{FIGURES}/{name} belongs to no figure of this report and was not compared" for name in stale]
    same = [name for name in there if (here / name).read_bytes() == (anew / name).read_bytes()]
    if apart := _other_versions(folder / DRAWN_WITH, found):
        found.checked.append(
            (FIGURES, f"{counted(len(same), 'file')} byte for byte, {len(there) - len(same)} not compared")
        )
        found.notes.append(
            f"other library versions drew the figures: {apart}; different figures and the drawings in report.html were "
            "not compared, and numbers in table.csv were compared to 9 digits"
        )
        return False
    found.mismatches += [_figure_mismatch(name, here / name, anew / name) for name in there if name not in same]
    found.checked.append((FIGURES, f"{counted(len(there), 'file')} byte for byte"))
    return True


def _other_versions(path: Path, found: Verification) -> str:
    """The libraries whose versions differ from those that drew the report's figures."""
    try:
        then = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        found.mismatches.append(Mismatch(path.name, wrong=f"cannot be read: {error}"))
        return ""
    now = library_versions()
    return ", ".join(f"{name} {then.get(name)} (here {now[name]})" for name in now if then.get(name) != now[name])


def _figure_mismatch(name: str, here: Path, given: Path) -> Mismatch:
    """The first line of an SVG that differs; only the fact for a PNG."""
    file = f"{FIGURES}/{name}"
    if name.endswith(".svg"):
        both = (path.read_text(encoding="utf-8", errors="replace") for path in (here, given))
        return next(differences(file, *both), Mismatch(file, wrong="differs from the figure that the records give"))
    return Mismatch(file, wrong="differs from the figure that the records give")
