"""What a verification finds: where something stands that the records do not give."""

from __future__ import annotations

from dataclasses import dataclass

LONG = 160  # characters of a quotation


@dataclass(frozen=True)
class Mismatch:
    """One place that does not hold.

    Attributes:
        file: relative to the folder.
        place: line, row and column, in words.
        here: what stands there; None where nothing does.
        given: what the records give; None where they give nothing.
        wrong: instead of the two, what is wrong with it.
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
        stands = f"{_quoted(self.here)} stands there" if self.here is not None else "nothing stands there"
        gives = f"the records give {_quoted(self.given)}" if self.given is not None else "the records give nothing"
        return f"{where}: {stands}; {gives}"


def around(here: str, given: str, width: int = LONG) -> tuple[str, str]:
    """Two long texts cut to where they begin to differ."""
    if max(len(here), len(given)) <= width:
        return here, given
    first = next((i for i, (a, b) in enumerate(zip(here, given, strict=False)) if a != b), min(len(here), len(given)))
    start = max(0, first - width // 3)
    return _cut(here, start, width), _cut(given, start, width)


def _cut(text: str, start: int, width: int) -> str:
    return f"{'… ' * (start > 0)}{text[start : start + width]}{' …' * (len(text) > start + width)}"


def _quoted(text: str | None) -> str:
    return f"“{text}”"
