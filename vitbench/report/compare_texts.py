"""Two texts of a report, the one that stands there and the one that the records give: where they differ, in words."""

from __future__ import annotations

import csv
import difflib
import html
import io
import re
from collections.abc import Callable, Iterator, Sequence

from vitbench.report.mismatch import Mismatch, around

NUMBER = re.compile(r"\d[\d\u202f]*(?:\.\d+)?(?:e[+-]?\d+)?")
SENTENCE = re.compile(r"(?<=[.!?;])\s+")
CELLS = re.compile(r"(?<!\\)\|")
TAGS = re.compile(r"(<[^>]*>)")
DRAWING = re.compile(r"<svg .*?</svg>", re.DOTALL)
NOT_SAID = re.compile(r"<(script|style|svg)\b.*?</\1>", re.DOTALL)
ALIGNED = 4_000_000  # lines here × lines there, up to which lines that moved are looked for
CLOSE = 1e-9  # relative; numbers computed by other versions of a library

Where = Callable[[Sequence[str], int], str]
"""Lines and an index → where in the text that is, in words."""


def numbers(text: str) -> int:
    return len(NUMBER.findall(text))


def said(page: str) -> str:
    """The words of an HTML page."""
    return html.unescape(re.sub(r"<[^>]*>", " ", NOT_SAID.sub(" ", page)))


def without_drawings(page: str) -> str:
    """The page with a mark in the place of every drawing, on as many lines."""
    return DRAWING.sub(lambda found: "<svg>" + "\n" * found[0].count("\n"), page)


def table(file: str, here: str, given: str, *, close: bool) -> Iterator[Mismatch]:
    """Cell by cell; ``close``: whether a number may differ in its last digits."""
    ours, theirs = (list(csv.reader(io.StringIO(text))) for text in (here, given))
    if [len(row) for row in ours] != [len(row) for row in theirs]:
        yield from lines(file, here, given)
        return
    heads, found = theirs[0] if theirs else [], False
    for number, (mine, other) in enumerate(zip(ours, theirs, strict=True), 1):
        for head, one, two in zip(heads, mine, other, strict=True):
            if one != two and not (close and _close(one, two)):
                found = True
                yield Mismatch(file, f"line {number} ({other[0]}), column {head}", one, two)
    if here != given and not found and not close:  # quotes or line ends, which are no cell's
        yield from lines(file, here, given)


def markdown(file: str, here: str, given: str) -> Iterator[Mismatch]:
    """Line by line, in a table cell by cell, in prose sentence by sentence."""
    ours = here.split("\n")
    for at, mine, other in _differing(ours, given.split("\n")):
        place = f"line {at + 1}{_under(_section(ours, at))}"
        if mine is None or other is None or not mine.startswith("| ") or not other.startswith("| "):
            yield from _sentences(file, place, mine, other)
            continue
        one, two = ([cell.strip() for cell in CELLS.split(line)[1:-1]] for line in (mine, other))
        heads = _heads(ours, at)
        if len(one) != len(two) or one == two:
            yield Mismatch(file, place, *around(mine, other))
            continue
        for i, (a, b) in enumerate(zip(one, two, strict=True)):
            if a != b:
                head = f", column {heads[i]}" if i < len(heads) else ""
                yield Mismatch(file, f"{place}, row {two[0]}{head}", a, b)


def page(file: str, here: str, given: str) -> Iterator[Mismatch]:
    """Line by line, within a line text by text and tag by tag."""
    ours = here.split("\n")
    for at, mine, other in _differing(ours, given.split("\n")):
        place = f"line {at + 1}{_under(_heading(ours, at))}"
        one, two = (TAGS.split(line or "") for line in (mine, other))
        if mine is None or other is None or len(one) != len(two):
            yield from _whole(file, place, *(line if line is None else html.unescape(line) for line in (mine, other)))
            continue
        row = re.search(r'<th scope="row"><code>(.*?)</code>', other)
        place += f", row {html.unescape(row[1])}" if row else ""
        for a, b in zip(one, two, strict=True):
            if a != b:
                tag = ", in a tag" if b.startswith("<") else ""
                yield Mismatch(file, place + tag, *around(html.unescape(a), html.unescape(b)))


def lines(file: str, here: str, given: str) -> Iterator[Mismatch]:
    """Line by line."""
    for at, mine, other in _differing(here.split("\n"), given.split("\n")):
        yield from _whole(file, f"line {at + 1}", mine, other)


def sentences(text: str) -> int:
    """Sentences of a report in Markdown: outside tables, headings and code."""
    prose = (line for line in text.split("\n") if line and line[0] not in "|#!")
    return sum(len([part for part in SENTENCE.split(line) if re.search(r"[A-Za-z]{2}", part)]) for line in prose)


def cells(text: str) -> int:
    """Cells of the tables of a report in Markdown, headings left out."""
    rows = (line for line in text.split("\n") if line.startswith("| "))
    return sum(len(CELLS.findall(line)) - 1 for line in rows if not re.fullmatch(r"[-|: ]+", line))


def _differing(ours: Sequence[str], theirs: Sequence[str]) -> Iterator[tuple[int, str | None, str | None]]:
    """Lines that differ: index in ours, the line there, the one that belongs there; None where one has none."""
    start = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))
    limit = min(len(ours), len(theirs)) - start
    end = next((i for i in range(limit) if ours[-1 - i] != theirs[-1 - i]), limit)
    one, two = ours[start : len(ours) - end], theirs[start : len(theirs) - end]
    opcodes = [("replace", 0, len(one), 0, len(two))]
    if len(one) * len(two) <= ALIGNED:
        opcodes = list(difflib.SequenceMatcher(None, one, two, autojunk=False).get_opcodes())
    for what, a, b, c, d in opcodes:
        if what != "equal":
            for i in range(max(b - a, d - c)):
                mine, other = (one[a + i] if a + i < b else None), (two[c + i] if c + i < d else None)
                if mine != other:
                    yield start + min(a + i, b), mine, other


def _sentences(file: str, place: str, mine: str | None, other: str | None) -> Iterator[Mismatch]:
    one, two = (SENTENCE.split(line) if line else [] for line in (mine, other))
    if not one or len(one) != len(two):
        yield from _whole(file, place, mine, other)
        return
    apart = [(a, b) for a, b in zip(one, two, strict=True) if a != b]
    for a, b in apart or [(mine or "", other or "")]:
        yield Mismatch(file, place, *around(a, b))


def _whole(file: str, place: str, mine: str | None, other: str | None) -> Iterator[Mismatch]:
    if mine is not None and other is not None:
        mine, other = around(mine, other)
    yield Mismatch(file, place, mine, other)


def _section(text: Sequence[str], at: int) -> str:
    heading = next((text[i] for i in range(min(at, len(text) - 1), -1, -1) if text[i].startswith("#")), "")
    return heading.lstrip("# ")


def _heading(text: Sequence[str], at: int) -> str:
    for i in range(min(at, len(text) - 1), -1, -1):
        found = re.search(r"<(h1|h2|summary)\b[^>]*>(.*?)</\1>", text[i])
        if found:
            return html.unescape(found[2])
    return ""


def _heads(text: Sequence[str], at: int) -> list[str]:
    """The headings of the Markdown table that a line stands in."""
    first = at
    while first > 0 and text[first - 1].startswith("|"):
        first -= 1
    return [cell.strip() for cell in CELLS.split(text[first])[1:-1]]


def _under(heading: str) -> str:
    return f" ({heading})" if heading else ""


def _close(one: str, two: str) -> bool:
    try:
        a, b = float(one), float(two)
    except ValueError:
        return False
    return abs(a - b) <= CLOSE * max(abs(a), abs(b))
