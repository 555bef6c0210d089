"""Readers of what a report is written in, which know nothing of what wrote it."""

import re
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "hr", "img", "input", "wbr"}
DIGIT = re.compile(r"\d")


class Reader(HTMLParser):
    """Keeps every tag with its attributes, and checks that they nest."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags = [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, *names):
        return [attributes for tag, attributes in self.tags if tag in names]


def part(text, title):
    """What stands under a heading."""
    return re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, flags=re.DOTALL | re.MULTILINE)[1]


def tokens(source):
    """Commands, and the signs that mean something to TeX."""
    return re.findall(r"\\(?:[A-Za-z]+|.)|[{}$&%#_^~]", source, flags=re.DOTALL)


def digits(text):
    return [found.start() for found in DIGIT.finditer(text)]


def changed(text, place):
    """The text with another digit in one place."""
    assert text[place].isdigit()
    return f"{text[:place]}{(int(text[place]) + 1) % 10}{text[place + 1 :]}"
