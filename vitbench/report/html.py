"""The report as one self-contained HTML file: figures, style and script are inside, and nothing is loaded.

The script sorts and filters tables and reads a figure's points; without it the page has the same content. The page's
security policy allows only the hash of this script, so text from the records cannot become a script.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from urllib.parse import unquote

import jinja2
from markupsafe import Markup, escape

from vitbench.plots import style
from vitbench.report.cells import Cell
from vitbench.report.elements import Name, Table
from vitbench.report.page import Page

PAGE_COLOURS = {
    style.INK: "var(--ink)",
    style.MUTED: "var(--muted)",
    style.GRID: "var(--line)",
    style.PAPER: "var(--paper)",
    **{swatch: f"var(--swatch-{number})" for number, swatch in enumerate(style.SWATCHES)},
}
"""Colour of a figure → the page's, which has a light and a dark theme."""

WITHHELD = ("not measured", "not compared", "not estimable", "skipped", "INVALID")
"""Openings of verdicts without an effect to sort by."""

FACTORS = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
LEADING = re.compile(r"([<>]?)([+\u2212-]?)(\d+(?:\u202f\d{3})*(?:\.\d+)?)(?:\u202f([kMGT]))?")


def sort_key(cell: Cell) -> Markup:
    """The attribute by which the script sorts a cell: its number, or empty without one; words are their own key.

    A verdict's number is its effect, positive if the variant is better; a verdict without an effect counts as 0.
    """
    if cell.kind == "verdict":
        effect = re.search(r" by (\d+(?:\.\d+)?)", cell.text)
        key = "" if not cell.text[:1].isalpha() or cell.text.startswith(WITHHELD) else "0"
        if effect and cell.tone:
            key = effect[1] if cell.tone == "good" else f"-{effect[1]}"
    elif cell.kind == "number":
        found = LEADING.match(cell.text)
        key = ""
        if found:
            beyond = {"<": 1 - 1e-6, ">": 1 + 1e-6}.get(found[1], 1)  # past the number that it names
            size = float(found[3].replace("\N{NARROW NO-BREAK SPACE}", "")) * FACTORS.get(found[4] or "", 1) * beyond
            key = f"{'' if found[2] in {'', '+'} else '-'}{size:.10g}"
    else:
        return Markup()
    return Markup(f' data-sort="{key}"')  # noqa: S704  # digits


def row_texts(table: Table) -> dict[str, str]:
    """Name → its row in words, which is the label of its point in a figure."""
    return {
        row[0].text: f"{row[0].text}: "
        + "; ".join(
            f"{head} {cell.text} {cell.small}".strip() for head, cell in zip(table.heads[1:], row[1:], strict=True)
        )
        for row in table.rows
    }


def inline(svg: str, name: str, rows: Mapping[str, str] | None = None) -> Markup:
    """The figure for the page: its ids are unique in the page, and its colours are the page's.

    Args:
        svg: a figure's file.
        name: put before every id.
        rows: the label of a point, by the name that ``plots.style.hover_target`` gave it.
    """
    drawn = svg[svg.index("<svg") :]
    drawn = re.sub(r"<metadata>.*?</metadata>\s*|<!--.*?-->\s*", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r'\bid="', f'id="{name}-', drawn)
    drawn = re.sub(r'((?:xlink:)?href="#|url\(#)', rf"\g<1>{name}-", drawn)
    for colour, variable in PAGE_COLOURS.items():
        drawn = drawn.replace(colour, variable)
    width, height = (re.search(rf'\b{side}="([\d.]+)pt"', drawn) for side in ("width", "height"))
    if width and height:  # the page sets the size, the view box keeps the aspect ratio
        drawn = drawn.replace(f"{width[0]} ", "", 1).replace(f"{height[0]} ", "", 1)
    points = re.compile(rf'<g id="{name}-{style.POINT}[^":]*:([^"]*)"')
    drawn = points.sub(lambda found: found[0] + _point(found[1], rows or {}), drawn)
    return Markup(drawn.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1).strip())  # noqa: S704  # our own


def _point(quoted: str, rows: Mapping[str, str]) -> str:
    """The attributes of a point's tag after its id, and its tooltip; the end of the tag follows."""
    name = unquote(quoted)
    return f' class="point" data-name="{escape(name)}"><title>{escape(rows.get(name, name))}</title'


def unbroken(text: str) -> str:
    """The text without line breaks inside the brackets of intervals."""
    return re.sub(r"\[[^\[\]]{1,40}\]", lambda found: found[0].replace(" ", "\N{NO-BREAK SPACE}"), text)


def render(page: Page, drawings: Mapping[str, str]) -> str:
    """The whole page.

    Args:
        page: its content.
        drawings: name of a section → the text of its SVG file.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("vitbench.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["unbroken"] = unbroken
    environment.tests["name"] = lambda part: isinstance(part, Name)
    environment.globals["sort_key"] = sort_key
    style, script = (environment.get_template(name).render() for name in ("style.css", "page.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    rows = row_texts(page.results)
    return environment.get_template("report.html.j2").render(
        page=page,
        files=[(name, what) for name, what in page.files.items() if name != "report.html"],
        figures={name: inline(svg, name, rows) for name, svg in drawings.items()},
        style=Markup(style),  # noqa: S704  # our own
        script=Markup(script),  # noqa: S704  # our own
        script_hash=f"sha256-{digest}",
    )
