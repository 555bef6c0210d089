"""The page stands alone, is well formed, can be read by everybody and fits a phone."""

import re

from tests.support.reading import Reader
from vitbench.report.html import unbroken


def test_tags_nest_and_ids_are_unique(page):
    tags = Reader(page).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    wanted = re.findall(r'(?:xlink:href="#|url\(#)([^")]+)', page)
    assert wanted
    assert set(wanted) <= set(ids)


def test_nothing_comes_from_outside(page):
    for tag, attributes in Reader(page).tags:
        assert tag not in {"link", "iframe", "object", "embed", "img", "base", "form"}
        assert tag != "script" or attributes == {}
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in {"src", "href", "xlink:href", "srcset", "action"}:  # a link to a file beside it loads nothing
                assert value.startswith("#") or (tag == "a" and re.fullmatch(r"(figures/)?[a-z_]+\.[a-z]+", value))
    assert not re.search(r"url\((?!#)|@import|https?://(?!www\.w3\.org/)", page)


def test_intervals_do_not_break():
    space = "\N{NO-BREAK SPACE}"
    assert unbroken("a [1, 2] b [no] [3, 4]") == f"a [1,{space}2] b [no] [3,{space}4]"


def test_every_export_is_there_and_linked(page, twelve):
    linked = {attributes["href"] for attributes in Reader(page).all("a")}
    assert linked >= {"table.csv", "table.tex", "report.md", "records.jsonl"}
    drawn = {f"figures/{path.name}" for path in (twelve / "figures").iterdir()}
    assert {path.rpartition(".")[2] for path in drawn} == {"svg", "png"}
    assert drawn == {link for link in linked if link.startswith("figures/")}
    assert all((twelve / link).stat().st_size > 100 for link in linked)
    text = (twelve / "report.md").read_text(encoding="utf-8")
    links = set(re.findall(r"\]\(([^)]+)\)", text))
    assert links >= {"table.csv", "table.tex", "report.html", "records.jsonl"}
    assert all((twelve / link).is_file() for link in links)
