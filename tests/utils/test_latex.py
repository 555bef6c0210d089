r"""Whatever stands in the records, LaTeX sets it as it is. The reader below knows LaTeX, and nothing of the writer."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.reading import tokens
from vitbench.utils import latex as tex

COMMANDS = {
    "textbackslash": "\\", "textasciitilde": "~", "textasciicircum": "^", "textless": "<", "textgreater": ">",
    "textbar": "|", "dots": "…", "S": "§", "ss": "ß", "o": "ø", "O": "Ø", "ae": "æ", "AE": "Æ", "oe": "œ", "OE": "Œ",
    "l": "ł", "L": "Ł", "i": "ı", "pm": "±", "times": "×", "cdot": "·", "le": "≤", "ge": "≥", "approx": "≈", "to": "→",
    "mu": "μ", "lambda": "λ", "alpha": "α", "circ": "°", "allowbreak": "",
}  # fmt: skip
COMBINING = {
    "`": "\u0300", "'": "\u0301", "^": "\u0302", "~": "\u0303", "=": "\u0304", "u": "\u0306", ".": "\u0307",
    '"': "\u0308", "r": "\u030a", "H": "\u030b", "v": "\u030c", "d": "\u0323", "c": "\u0327", "b": "\u0331",
}  # fmt: skip
MARKS = st.text(st.sampled_from("ab1 `*_[]{}()<>#+-.,!~|&;:\\=$/%^\"'xéÅñλ±×–—−日"), max_size=40)
TEXTS = MARKS | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cf", "Zl", "Zp"]), max_size=40)


LIGATURES = {"---": "—", "--": "–", "''": "”", ",,": "„"}
TOKEN = re.compile(
    r"""\\vitbenchletter\{[0-9A-F]+\}\{(?P<letter>.?)\}|(?P<quote>\{\\char34\})|(?P<grave>\\`\{\})
    |\$(?P<math>-|\^2|\^\\circ|\\[a-z]+)\$
    |\\(?P<mark>[`'^~=u."rHvdcb])\{(?P<base>[A-Za-z])\}|\\(?P<command>[A-Za-z]+)\{\}|\\(?P<sign>[&%$#_{}])
    |(?P<thin>\\,)|(?P<tie>~)|(?P<ligature>---|--|''|,,)|(?P<group>[{}])|(?P<plain>.)""",
    re.VERBOSE | re.DOTALL,
)


def read(source):
    """The words that a reader of the paper sees: commands carried out, groups opened, ligatures joined."""
    return unicodedata.normalize("NFC", "".join(_read(found) for found in TOKEN.finditer(source)))


def _read(found):
    kind, text = found.lastgroup, found[found.lastgroup]
    if kind == "math":
        return {"-": "−", "^2": "²", r"^\circ": "°"}.get(text) or COMMANDS.get(text[1:], text)
    if kind == "base":
        return text + COMBINING[found["mark"]]
    fixed = {"quote": '"', "grave": "`", "thin": "\N{NARROW NO-BREAK SPACE}", "tie": "\N{NO-BREAK SPACE}", "group": ""}
    return {**COMMANDS, **LIGATURES}[text] if kind in {"command", "ligature"} else fixed.get(kind, text)


def check_form(source):
    """Groups and mathematics close, and no sign that would be a command is left outside them."""
    depth, math = 0, False
    for token in tokens(source):
        depth += (token == "{") - (token == "}")
        assert depth >= 0
        math ^= token == "$"
        assert token not in {"&", "%", "#"}
        assert math or token not in {"_", "^"}
    assert depth == 0
    assert not math


@given(TEXTS)
def test_escaped_text_is_text(text):
    source = tex.escape(text)
    check_form(source)
    assert "\n" not in source
    assert re.sub(r"(?<=\\vitbenchletter\{)[0-9A-F]+\}\{.?\}", "", source).isascii()
    assert not source.startswith(("[", "*"))


@given(MARKS)
def test_escaped_text_reads_as_it_was(text):
    assert read(tex.escape(text)) == " ".join(text.split())


@given(TEXTS)
def test_a_name_keeps_every_sign_and_may_break(text):
    for breaks in (False, True):
        source = tex.name(text, breaks=breaks)
        assert source.startswith(r"\texttt{")
        check_form(source)
        assert source.replace(r"\allowbreak{}", "").replace("{}", "") == tex.name(text).replace("{}", "")


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("a_b 50% R&D #1 $x$ {y}", r"a\_b 50\% R\&D \#1 \$x\$ \{y\}"),
        (r"C:\tmp ~x^2", r"C:\textbackslash{}tmp \textasciitilde{}x\textasciicircum{}2"),
        ("naïve café Łódź Straße", r"na\"{i}ve caf\'{e} \L{}\'{o}d\'{z} Stra\ss{}e"),
        ("cafe\u0301", r"caf\'{e}"),
        ("日本", r"\vitbenchletter{65E5}{日}\vitbenchletter{672C}{本}"),
        ("a\u202eb", r"a\vitbenchletter{202E}{}b"),  # a sign that would turn the line around is shown as its code
        ("--set depth=6", r"-{}-set depth=6"),
        ("[a] *b*", r"{[}a{]} {*}b{*}"),
        ("−0.5 ± 1, 4×8, 86.6\N{NARROW NO-BREAK SPACE}M", r"$-$0.5 $\pm$ 1, 4$\times$8, 86.6\,M"),
        ("line\nbreak", "line break"),
        ("", ""),
    ],
)
def test_signs(text, source):
    assert tex.escape(text) == source


@pytest.mark.parametrize(
    ("shown", "source"),
    [
        (tex.value("98.6", "[98.2, 98.9]"), r"$98.6\ [98.2, 98.9]$"),
        (tex.value("98.6", "[98.2, 98.9]", bold=True), r"$\mathbf{98.6}\ [98.2, 98.9]$"),
        (tex.value("98.6", "no interval"), "$98.6$ no interval"),
        (tex.value("−2.0", "[−3.4, +0.7]"), r"$-2.0\ [-3.4, +0.7]$"),
        (tex.value("12\N{NARROW NO-BREAK SPACE}345"), r"$12\,345$"),
        (tex.value("–"), "--"),
        (tex.value("202\N{NARROW NO-BREAK SPACE}k"), r"202\,k"),
        (tex.words("1.68 [1.65, 1.72]"), r"$1.68\ [1.65, 1.72]$"),
        (tex.words("worse by 24.1 points [23.1, 25.2]"), "worse by 24.1 points $[23.1, 25.2]$"),
        (tex.words("slower by 20.8% [17.3, 24.5] it is"), r"slower by 20.8\% $[17.3, 24.5]$ it is"),
        (tex.words("[no, interval]"), "{[}no, interval{]}"),
        (tex.head("Peak memory, inference (MiB)", "r"), r"\shortstack[r]{Peak memory,\\inference\\(MiB)}"),
        (tex.head("Seeds"), "Seeds"),
    ],
)
def test_values_words_and_headings(shown, source):
    assert shown == source


def test_a_tabular_has_booktabs_rules():
    assert tex.tabular("lr", ["Model", "n"], [[tex.name("a_b"), "1"], [tex.name("c"), "2"]]).splitlines() == [
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"Model & n \\",
        r"\midrule",
        r"\texttt{a\_b} & 1 \\",
        r"\texttt{c} & 2 \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_the_command_for_rare_letters_comes_where_it_is_needed():
    assert tex.definitions(tex.escape("café")) == ""
    assert tex.definitions(tex.escape("日")).startswith(r"\DeclareRobustCommand\vitbenchletter")
