r"""Tables as LaTeX: booktabs' rules, numbers with their intervals in math, every word escaped.

One writer for ``table.tex`` and for ``python -m vitbench.measure --format latex``. What it writes compiles with
pdfLaTeX, XeLaTeX and LuaLaTeX: a letter that a plain pdfLaTeX lacks goes through ``\vitbenchletter``, which shows its
code there.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

PACKAGES = r"\usepackage{array,booktabs}"
"""What a document must load before it takes a table in."""

SIGNS = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"{\char34}",  # babel makes the sign itself a command in some languages
    "`": r"\`{}",
    "[": "{[}",  # a row that began with a bracket or a star would be an argument of the line break before it
    "]": "{]}",
    "*": "{*}",
    "–": "--",
    "—": "---",
    "−": "$-$",
    "×": r"$\times$",
    "±": r"$\pm$",
    "·": r"$\cdot$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "≈": r"$\approx$",
    "→": r"$\to$",
    "°": r"$^\circ$",
    "²": "$^2$",
    "µ": r"$\mu$",
    "‘": "`",
    "’": "'",
    "“": "``",
    "”": "''",
    "…": r"\dots{}",
    "§": r"\S{}",
    "\N{NO-BREAK SPACE}": "~",
    "\N{NARROW NO-BREAK SPACE}": r"\,",
}
SIGNS |= {sign: rf"\{sign}" for sign in "&%$#_{}"}
SIGNS |= {"ß": r"\ss{}", "ø": r"\o{}", "Ø": r"\O{}", "æ": r"\ae{}", "Æ": r"\AE{}", "œ": r"\oe{}", "Œ": r"\OE{}"}
SIGNS |= {"ł": r"\l{}", "Ł": r"\L{}", "ı": r"\i{}"}
GREEK = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "kappa", "lambda", "mu", "nu", "xi",
         "pi", "rho", "sigma", "tau", "phi", "chi", "psi", "omega")  # fmt: skip
SIGNS |= {unicodedata.lookup(f"GREEK SMALL LETTER {g.upper().replace('MBD', 'MD')}"): rf"$\{g}$" for g in GREEK}

ACCENTS = {
    "\u0300": r"\`", "\u0301": r"\'", "\u0302": r"\^", "\u0303": r"\~", "\u0304": r"\=", "\u0306": r"\u",
    "\u0307": r"\.", "\u0308": r"\"", "\u030a": r"\r", "\u030b": r"\H", "\u030c": r"\v", "\u0323": r"\d",
    "\u0327": r"\c", "\u0331": r"\b",
}  # fmt: skip
"""Combining mark → the command that sets it; those that every font encoding has."""

LIGATURES = re.compile("(?<=[-–—])(?=[-–—])|(?<=,)(?=,)|(?<=['’”])(?=['’”])|(?<=[‘“])(?=[‘“])")
"""Where two signs would run together into a third: a dash, a quotation mark."""

LETTER = r"""\DeclareRobustCommand\vitbenchletter[2]{\ifdefined\Umathchar#2\else\textsf{U+#1}\fi}"""
"""For a letter that pdfLaTeX cannot set: itself under XeLaTeX and LuaLaTeX, its code elsewhere."""

BREAK = r"\allowbreak{}"

NUMBER = r"[+\u2212-]?\d[\d\u202f]*(?:\.\d+)?"
INTERVAL = rf"\[{NUMBER}, {NUMBER}\]"
VALUE = re.compile(rf"({NUMBER})(?: ({INTERVAL}))?")


def escape(text: str) -> str:
    r"""Plain text that LaTeX sets as it is, on one line, in ASCII but for letters in ``\vitbenchletter``."""
    line = unicodedata.normalize("NFC", _line(text))
    return "".join("".join(map(_sign, part)) + "{}" for part in LIGATURES.split(line))[:-2]


def _sign(sign: str) -> str:
    if sign in SIGNS:
        return SIGNS[sign]
    if sign.isascii() and sign.isprintable():
        return sign
    base, *marks = tuple(unicodedata.normalize("NFD", sign))
    if len(marks) == 1 and marks[0] in ACCENTS and base.isascii() and base.isalpha():
        return f"{ACCENTS[marks[0]]}{{{base}}}"
    return rf"\vitbenchletter{{{ord(sign):04X}}}{{{sign if sign.isprintable() else ''}}}"


def words(text: str) -> str:
    """A sentence, its intervals in math; a number alone, or with its interval, is set as ``value`` sets it."""
    if VALUE.fullmatch(text):
        return value(text)
    parts = re.split(f"({INTERVAL})", text)
    return "".join(f"${_math(part)}$" if at % 2 else _spaced(part) for at, part in enumerate(parts))


def value(text: str, interval: str = "", *, bold: bool = False) -> str:
    r"""A number and its interval, ``$98.6\ [98.2, 98.9]$``; what is not of that form is set as words."""
    found = VALUE.fullmatch(f"{text} {interval}".strip())
    if found is None:
        sentence = words(text) if not interval else f"{words(text)} {words(interval)}"
        return rf"\textbf{{{sentence}}}" if bold else sentence
    number = rf"\mathbf{{{_math(found[1])}}}" if bold else _math(found[1])
    return f"${number}$" if found[2] is None else rf"${number}\ {_math(found[2])}$"


def name(text: str, *, breaks: bool = False) -> str:
    """A name from the user's files, as code; with ``breaks`` a line may end after each of its commas and ``=``."""
    line = _line(text)
    pieces = re.split(r"(?<=[,=])", line) if breaks else [line]
    return rf"\texttt{{{BREAK.join(map(_spaced, pieces))}}}"


def head(text: str, side: str = "l", width: int = 13) -> str:
    """A heading in as many lines as it takes to stay under ``width`` letters, where a word does not pass it alone."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        lines = [*lines[:-1], longer] if len(longer) <= width or not lines[-1] else [*lines, word]
    stacked = r"\\".join(map(escape, lines))
    return stacked if len(lines) == 1 else rf"\shortstack[{side}]{{{stacked}}}"


def tabular(columns: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A ``tabular`` with booktabs' rules.

    Args:
        columns: LaTeX' column specification.
        heads: set already, by ``head`` or ``escape``.
        rows: cells, set already.
    """
    lines = [" & ".join(row) + r" \\" for row in (heads, *rows)]
    frame = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", lines[0], r"\midrule", *lines[1:]]
    return "\n".join([*frame, r"\bottomrule", r"\end{tabular}"])


def definitions(text: str) -> str:
    """What must stand before a table so that it compiles: the command for rare letters, where it has any."""
    return f"{LETTER}\n" if r"\vitbenchletter" in text else ""


def _line(text: str) -> str:
    """On one line, runs of blanks made one; those that do not break stay."""
    return re.sub(r"[^\S\u00a0\u202f]+", " ", text).strip(" ")


def _math(text: str) -> str:
    return text.replace("\N{MINUS SIGN}", "-").replace("\N{NARROW NO-BREAK SPACE}", r"\,")


def _spaced(text: str) -> str:
    """Escaped, with the blanks at its ends."""
    line = re.sub(r"[^\S\u00a0\u202f]+", " ", text)
    return " " * line.startswith(" ") + escape(line) + " " * (line.endswith(" ") and line != " ")
