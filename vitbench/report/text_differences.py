"""Where a file of a report differs from the file that its records give, cell by cell or sentence by sentence."""

from __future__ import annotations

import csv
import difflib
import html
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

NUMBER = re.compile(r"\d[\d\u202f]*(?:\.\d+)?(?:e[+-]?\d+)?")
SENTENCE = re.compile(r"(?<=[.!?;])\s+")
CELLS = re.compile(r"(?<!\\)\|")
TAGS = re.compile(r"(<[^>]*>)")
DRAWING = re.compile(r"<svg .*?</svg>", re.DOTALL)
INVISIBLE = re.compile(r"<(script|style|svg)\b.*?</\1>", re.DOTALL)
HEADING = re.compile(r"<(?:h1|h2|summary)\b[^>]*>(.*?)</|^#+ (.*)")
ROW = re.compile(r'<th scope="row"><code>(.*?)</code>')
ALIGNED = 4_000_000  # lines of one file × lines of the other, up to which moved lines are looked for
CLOSE = 1e-9  # relative difference of numbers that other library versions may compute
QUOTED = 160  # characters of a quotation


@dataclass(frozen=True)
class Mismatch:
    """One place that does not match.

    Attributes:
        file: relative to the folder.
        place: line, row and column, in words.
        here: the text in the file; None if it lacks one.
        given: the text that the records give; None if they give none.
        wrong: instead of the two texts, what is wrong.
    """

    file: str
    place: str = ""
    here: str | None = None
    given: str | None = None
    wrong: str = ""

    def __str__(self) -> str:
        where = f"{self.file}, {self.place}" if self.place else self.file
        if self.wrong:
            return f"{where}: {self.wrong}"
        here = f"the file has “{self.here}”" if self.here is not None else "the file has nothing"
        given = f"the records give “{self.given}”" if self.given is not None else "the records give nothing"
        return f"{where}: {here}; {given}"


def differences(file: str, here: str, given: str) -> Iterator[Mismatch]:
    """Every difference, line by line; within a line of Markdown or HTML by cell, sentence or tag.

    Args:
        file: its name, whose ending decides how a line is divided.
        here: the text of the file.
        given: the text that the records give.
    """
    ours = here.split("\n")
    for at, mine, other in _differing_lines(ours, given.split("\n")):
        heading = _heading(ours, at) if file.endswith((".md", ".html")) else ""
        place = f"line {at + 1}" + f" ({heading})" * bool(heading)
        one, two = _parts(file, mine), _parts(file, other)
        if mine is None or other is None or len(one) != len(two) or one == two:
            yield Mismatch(file, place, *_shortened(mine, other))
            continue
        for column, (a, b) in enumerate(zip(one, two, strict=True)):
            if a != b:
                yield Mismatch(
                    file, place + _within(ours, at, other, column), *_shortened(html.unescape(a), html.unescape(b))
                )


def csv_differences(file: str, here: str, given: str, *, close: bool) -> Iterator[Mismatch]:
    """Every cell that differs; ``close`` ignores differences in the last digits of numbers."""
    ours, theirs = (list(csv.reader(io.StringIO(text))) for text in (here, given))
    if [len(row) for row in ours] != [len(row) for row in theirs]:
        yield from differences(file, here, given)
        return
    found = [
        Mismatch(file, f"line {line} ({other[0]}), column {head}", one, two)
        for line, (mine, other) in enumerate(zip(ours, theirs, strict=True), 1)
        for head, one, two in zip(theirs[0], mine, other, strict=True)
        if one != two and not (close and _close(one, two))
    ]
    yield from found
    if here != given and not found and not close:  # quotes or line ends, which are in no cell
        yield from differences(file, here, given)


def without_drawings(page: str) -> str:
    """The HTML page with a mark in place of every drawing, and with the same lines."""
    return DRAWING.sub(lambda found: "<svg>" + "\n" * found[0].count("\n"), page)


def visible_text(page: str) -> str:
    """The text of an HTML page."""
    return html.unescape(re.sub(r"<[^>]*>", " ", INVISIBLE.sub(" ", page)))


def count_numbers(text: str) -> int:
    """The numbers in a text."""
    return len(NUMBER.findall(text))


def count_sentences(text: str) -> int:
    """The sentences of a Markdown report, outside tables, headings and images."""
    prose = (line for line in text.split("\n") if line and line[0] not in "|#!")
    return sum(len([part for part in SENTENCE.split(line) if re.search(r"[A-Za-z]{2}", part)]) for line in prose)


def count_cells(text: str) -> int:
    """The table cells of a Markdown report, headings included."""
    rows = (line for line in text.split("\n") if line.startswith("| "))
    return sum(len(CELLS.findall(line)) - 1 for line in rows if not re.fullmatch(r"[-|: ]+", line))


def _differing_lines(ours: Sequence[str], theirs: Sequence[str]) -> Iterator[tuple[int, str | None, str | None]]:
    """Index in ours, our line and the other line; None for a line that one text lacks."""
    shorter = min(len(ours), len(theirs))
    start = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), shorter)
    end = next((i for i in range(shorter - start) if ours[-1 - i] != theirs[-1 - i]), shorter - start)
    one, two = ours[start : len(ours) - end], theirs[start : len(theirs) - end]
    opcodes = [("replace", 0, len(one), 0, len(two))]
    if len(one) * len(two) <= ALIGNED:
        opcodes = list(difflib.SequenceMatcher(None, one, two, autojunk=False).get_opcodes())
    for what, a, b, c, d in opcodes:
        for i in range(max(b - a, d - c) if what != "equal" else 0):
            mine, other = (one[a + i] if a + i < b else None), (two[c + i] if c + i < d else None)
            if mine != other:
                yield start + min(a + i, b), mine, other


def _parts(file: str, line: str | None) -> list[str]:
    """The parts of a line that are compared one by one."""
    if not line:
        return []
    if file.endswith(".html"):
        return TAGS.split(line)
    if file.endswith(".md"):
        return [cell.strip() for cell in CELLS.split(line)[1:-1]] if line.startswith("| ") else SENTENCE.split(line)
    return [line]


def _within(lines: Sequence[str], at: int, other: str, column: int) -> str:
    """The row and column of a part of a line that is in a table."""
    if row := ROW.search(other):
        return f", row {html.unescape(row[1])}"
    if not other.startswith("| "):
        return ""
    head = at
    while head > 0 and lines[head - 1].startswith("|"):
        head -= 1
    heads, name = (_parts(".md", line) for line in (lines[head], other))
    return f", row {name[0]}" + (f", column {heads[column]}" if column < len(heads) else "")


def _heading(lines: Sequence[str], at: int) -> str:
    """The heading above a line."""
    found = (HEADING.search(lines[i]) for i in range(min(at, len(lines) - 1), -1, -1))
    heading = next(filter(None, found), None)
    return html.unescape(heading[1] or heading[2]) if heading else ""


def _shortened(here: str | None, given: str | None) -> tuple[str | None, str | None]:
    """Two long texts, cut to where they begin to differ."""
    if here is None or given is None or max(len(here), len(given)) <= QUOTED:
        return here, given
    start = max(0, next((i for i, (a, b) in enumerate(zip(here, given, strict=False)) if a != b), 0) - QUOTED // 3)
    cut = (f"{'… ' * (start > 0)}{t[start : start + QUOTED]}{' …' * (len(t) > start + QUOTED)}" for t in (here, given))
    return next(cut), next(cut)


def _close(one: str, two: str) -> bool:
    try:
        a, b = float(one), float(two)
    except ValueError:
        return False
    return abs(a - b) <= CLOSE * max(abs(a), abs(b))
