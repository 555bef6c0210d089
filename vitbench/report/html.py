"""The report as one HTML file that needs nothing else: no network, no script, figures and style inside."""

from __future__ import annotations

import re
from collections.abc import Mapping

import jinja2
from markupsafe import Markup

from vitbench.plots import drawing
from vitbench.report.page import Page
from vitbench.report.phrases import Name

PAGE_COLOURS = {
    drawing.INK: "var(--ink)",
    drawing.MUTED: "var(--muted)",
    drawing.GRID: "var(--line)",
    drawing.PAPER: "var(--paper)",
    **{swatch: f"var(--swatch-{number})" for number, swatch in enumerate(drawing.SWATCHES)},
}
"""A figure's colours become the page's, so that it is at home in the light and in the dark."""


def inline(svg: str, name: str) -> Markup:
    """The drawing alone, its ids made unique in the page, its colours the page's; the words stand around it."""
    drawn = svg[svg.index("<svg") :]
    drawn = re.sub(r"<metadata>.*?</metadata>\s*|<!--.*?-->\s*", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r'\bid="', f'id="{name}-', drawn)
    drawn = re.sub(r'((?:xlink:)?href="#|url\(#)', rf"\g<1>{name}-", drawn)
    for colour, variable in PAGE_COLOURS.items():
        drawn = drawn.replace(colour, variable)
    width, height = (re.search(rf'\b{side}="([\d.]+)pt"', drawn) for side in ("width", "height"))
    if width and height:  # the page decides the size, the view box keeps the shape
        drawn = drawn.replace(f"{width[0]} ", "", 1).replace(f"{height[0]} ", "", 1)
    return Markup(drawn.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1).strip())  # noqa: S704  # our own


def unbroken(text: str) -> str:
    """The text with its intervals held on one line: no break inside brackets."""
    return re.sub(r"\[[^\[\]]{1,40}\]", lambda found: found[0].replace(" ", "\N{NO-BREAK SPACE}"), text)


def render(page: Page, drawings: Mapping[str, str]) -> str:
    """The whole page.

    Args:
        page: what it says.
        drawings: name of a picture → its SVG file's text.
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
    style = environment.get_template("style.css").render()
    figures = {name: inline(svg, name) for name, svg in drawings.items()}
    return environment.get_template("report.html.j2").render(page=page, figures=figures, style=Markup(style))  # noqa: S704
