"""Whatever stands in the records, Markdown shows it as it is."""

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from vitbench.report import cells, markdown
from vitbench.report.cells import Cell
from vitbench.report.elements import Name, Table

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
MARKS = st.text(st.sampled_from("ab1 `*_[]()<>#+-.!~|&;:\\=$/\"'x\n"), max_size=40)
TEXTS = MARKS | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=40)


def read(source, parser=PARSER):
    """The words that a reader of the rendered Markdown sees."""
    page = parser.render(source)
    assert not re.search(r"<(?!/?(p|code|table|thead|tbody|tr|th|td|li|ul)\b)", page), page
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", page)).split())


def words(text):
    return " ".join(text.split())


@given(TEXTS)
def test_escaped_text_reads_as_it_was(text):
    assert read(markdown.escape(text)) == words(text)


@given(TEXTS)
def test_a_name_reads_as_it_was_in_text_and_in_a_table(name):
    expected = words(name)
    if expected:
        assert read("x " + markdown.code(name)) == f"x {expected}".replace("|", "\\|")
    table = Table("t", ["Variant", "n"], [[cells.name(name), Cell(name, "[1, 2]")]], "caption")
    lines = list(markdown.table_lines(table))
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines[:3]}) == 1
    shown = read("\n".join(lines))
    assert shown == words(f"Variant n {expected} {expected} [1, 2] caption")


@given(st.lists(TEXTS | TEXTS.map(Name), max_size=4))
def test_phrases_keep_every_word(parts):
    page = PARSER.render("x" + markdown.phrase(tuple(parts)))
    assert "<a " not in page
    assert "<script" not in page


@pytest.mark.parametrize(
    "text", ["[a](javascript:x)", "![a](b)", "<b>", "<script>", "# a", "1. a", "- a", "a\n===", "&amp;", "~~a~~"]
)
def test_nothing_becomes_markup(text):
    assert read(markdown.escape(text)) == words(text)
    assert read("x" + markdown.alt(text)) == words("x" + text)


@given(TEXTS)
def test_alternative_text_stays_inside_its_image(text):
    page = PARSER.render(f"![{markdown.alt(text)}](figures/a.svg)")
    assert page.startswith('<p><img src="figures/a.svg" alt="')
    assert page.count("<img") == 1
