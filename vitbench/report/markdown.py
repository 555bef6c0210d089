"""The report as GitHub Markdown: all text from the records is escaped, and names are code."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator

from vitbench.report.cells import Cell
from vitbench.report.elements import Name, Phrase, Table
from vitbench.report.page import Page

SPECIAL = re.compile(r"[\\`*_<|~$]|\](?=[(\[:])|&(?=#?\w+;)")  # a bracket is text unless it could end a link's words
IN_BRACKETS = re.compile(r"[\\`*_<|~$\[\]]|&(?=#?\w+;)")
LINE_START = re.compile(r"^(#|>|[-+=](?=\s|$|[-=])|\d+(?=[.)](?:\s|$)))")


def escape(text: str) -> str:
    """Text on one line that Markdown shows as it is."""
    line = SPECIAL.sub(lambda mark: "\\" + mark[0], " ".join(text.split()))
    start = LINE_START.match(line)
    if start is None:
        return line
    return f"{start[0]}\\{line[start.end() :]}" if start[0].isdigit() else f"\\{line}"


def alt(text: str) -> str:
    """The description between the brackets of an image."""
    return IN_BRACKETS.sub(lambda mark: "\\" + mark[0], " ".join(text.split()))


def code(text: str) -> str:
    """A code span, whatever backticks the text holds; a pipe is escaped, since it would end a table's cell."""
    line = " ".join(text.split()).replace("|", "\\|")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    pad = " " if line.startswith("`") or line.endswith("`") or not line else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def phrase(parts: Phrase) -> str:
    """A sentence with names as code; neighbouring texts are escaped as one."""
    pieces = []
    for is_name, group in itertools.groupby(parts, key=lambda part: isinstance(part, Name)):
        texts = list(group)
        if is_name:
            pieces += [code(text) for text in texts]
            continue
        text = "".join(texts)
        before, after = " " * text.startswith(" "), " " * text.endswith(" ")
        pieces.append(before + (escape(text) if not pieces else escape("x" + text.strip())[1:]) + after)
    return "".join(pieces)


def _cell(cell: Cell) -> str:
    shown = code(cell.text) if cell.kind == "name" else escape(cell.text)
    return f"{shown} {escape(cell.small)}" if cell.small else shown


def table_lines(table: Table) -> Iterator[str]:
    """The lines of a table; its columns are padded, so that the source is readable too."""
    rows = [[escape(head) for head in table.heads], *([_cell(cell) for cell in row] for row in table.rows)]
    widths = [max(3, *(len(row[i]) for row in rows)) for i in range(len(table.heads))]
    rule = ["-" * (w - 1) + ":" if number else "-" * w for w, number in zip(widths, table.numeric, strict=True)]
    for row in [rows[0], rule, *rows[1:]]:
        cells = (
            text.rjust(w) if number else text.ljust(w)
            for text, w, number in zip(row, widths, table.numeric, strict=True)
        )
        yield f"| {' | '.join(cells)} |"
    yield ""
    yield escape(table.caption)


def pairs(rows: Iterable[tuple[str, str]], *, verbatim: bool = False) -> Iterator[str]:
    """A list of names and values."""
    for name, value in rows:
        yield f"- {code(name)}: {code(value)}" if verbatim else f"- **{escape(name)}**: {escape(value)}"


def render(page: Page) -> str:
    """The whole report, with links to its figures."""
    return "\n".join(_lines(page)).rstrip() + "\n"


def _lines(page: Page) -> Iterator[str]:
    yield f"# {escape(page.question)}"
    yield ""
    yield f"A vitbench report on the ablation {code(page.ablation)}."
    yield from _section("Answer", (phrase(sentence) for sentence in page.answer), gap=True)
    for caveat in page.caveats:
        yield f"> {phrase(caveat)}"
        yield ""
    beside = ", ".join(f"[{name}]({name}) ({what})" for name, what in page.files.items() if name != "report.md")
    yield from _section("Results", [*table_lines(page.results), "", f"As files: {beside}."])
    if page.claims:
        yield from _section("Claims", _claims(page))
    for section in page.sections:
        body = [f"![{alt(section.alt)}](figures/{section.name}.svg)", "", escape(section.caption)]
        body += [line for table in section.tables for line in ("", *table_lines(table))]
        yield from _section(section.title, body)
    yield from _section("Costs", table_lines(page.costs))
    for table in page.quantities.values():
        yield from _section(table.title, table_lines(table))
    if page.failures:
        yield from _section("Failed or skipped variants", _failures(page))
    yield from _section("Scope", pairs(page.scope))
    yield from _section("Methods", pairs(page.methods))
    for table in page.details.values():
        yield from _section(table.title, table_lines(table))
    if page.summary:
        yield from _section("About this ablation", (escape(part) for part in page.summary), gap=True)
    yield from _section("Settings", pairs(page.settings, verbatim=True))
    for number, environment in enumerate(page.environments, 1):
        title = "Environment" if len(page.environments) == 1 else f"Environment {number}"
        yield from _section(title, pairs(environment, verbatim=True))
    yield from _section("How to reproduce", (f"- {escape(what)}: {code(how)}" for what, how in page.commands))


def _section(title: str, body: Iterable[str], *, gap: bool = False) -> Iterator[str]:
    yield ""
    yield f"## {escape(title)}"
    yield ""
    for line in body:
        yield line
        if gap:
            yield ""


def _claims(page: Page) -> Iterator[str]:
    for claim in page.claims:
        source = f" ({escape(claim.source)})" if claim.source else ""
        yield f"- **{claim.outcome}**: {escape(claim.text)}{source}  "
        yield f"  {phrase(claim.because)}"


def _failures(page: Page) -> Iterator[str]:
    for failure in page.failures:
        reason = f", {escape(failure.reason)}" * bool(failure.reason)
        yield f"- {code(failure.variant)}: **{escape(failure.status)}**{reason}"
        if failure.output:  # an indented block has no fence that the output could close
            yield from ("", *(f"      {line}".rstrip() for line in failure.output.splitlines()), "")
