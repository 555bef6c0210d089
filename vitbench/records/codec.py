"""Lines of JSON that have much in common, read together: a text that comes again is parsed once. No torch, no pandas.

A line's checksum is of its text with all keys sorted. Writing each line anew to learn that text takes longer than all
the rest, so it is put together from the line's own parts: of a part that came before it is known, and of a list of
digits or a plain string it is the part itself. What is accepted here is what ``Record.from_line`` accepts alone.
"""

from __future__ import annotations

import array
import contextlib
import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

SHORT = 20_000
"""Characters up to which a part is worth remembering."""

LONG = 32
"""Values from which on a list of whole numbers under 256 is held as bytes."""

SCHEMA, CHECKSUM, SAMPLES = "schema", "checksum", "samples"
DIGITS = bytes((code - ord("0")) % 256 for code in range(256))
LIST = '"values":['

_scan = json.JSONDecoder().raw_decode
_ENCODERS = [
    json.JSONEncoder(sort_keys=sort, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for sort in (False, True)
]
"""``json.dumps`` makes a new one at each call."""


def dumps(value: Any, *, sort: bool = False) -> str:
    """JSON without a needless character.

    Raises:
        ValueError: NaN or infinity, which JSON has not.
    """
    return _ENCODERS[sort].encode(value)


def checksum(body: Mapping[str, Any]) -> str:
    """Of the body's text with its keys sorted."""
    return checksum_of(dumps(body, sort=True))


def checksum_of(text: str) -> str:
    """The first 16 digits of its SHA-256, in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class _Field(NamedTuple):
    name: str
    mark: str  # how it begins in a line
    after: str  # how the next one begins, where its text often comes again
    optional: bool


class Reader:
    """Reads lines of the same fields, in the order in which they are written.

    Args:
        names: of the fields, in order; the checksum follows.
        optional: those at the end that a line may lack.
        own: those whose text seldom comes again, samples aside.
        samples: whether they are kept; their checksum is looked at in any case.
    """

    def __init__(
        self, names: Sequence[str], optional: Collection[str], own: Collection[str], *, samples: bool = True
    ) -> None:
        self._samples = samples
        self._known: dict[str, tuple[Any, str]] = {}
        self._heads: dict[str, tuple[str, str] | None] = {}
        self._last: dict[str, tuple[str, int, Any, str]] = dict.fromkeys(names, ("\n", 0, None, ""))  # of the last line
        self._sorted = [(name, f'"{name}":') for name in sorted(names)]
        marks = [*(f',"{name}":' for name in names), f',"{CHECKSUM}":']
        marks[0] = "{" + marks[0][1:]
        self._fields = [
            _Field(name, mark, "" if name in {*own, *optional, SAMPLES} else after, name in optional)
            for name, mark, after in zip(names, marks, marks[1:], strict=False)
        ]

    def read(self, line: bytes) -> dict[str, Any] | None:
        """The fields, equal ones of two lines often one object; None: it is not what was written, or not as it was."""
        try:
            return self._read(line.decode())
        except (ValueError, RecursionError):
            return None

    def _read(self, line: str) -> dict[str, Any] | None:
        body: dict[str, Any] = {}
        texts: dict[str, str] = {}
        at = 0
        for name, mark, after, optional in self._fields:
            if not line.startswith(mark, at):
                if optional:
                    continue
                return None
            start = at + len(mark)
            if after and line.startswith((last := self._last[name])[0], start):
                _, size, body[name], texts[name] = last
                at = start + size
            elif after and start < (at := line.find(after, start)) <= start + SHORT:
                part = line[start:at]
                if (found := self._known.get(part)) is None:
                    found = self._known[part] = _parsed(part)
                body[name], texts[name] = found
                self._last[name] = part + after, len(part), *found
            elif name == SAMPLES:
                body[name], texts[name], at = self._of_samples(line, start)
            else:
                value, at = _scan(line, start)
                body[name] = value
                texts[name] = line[start:at] if _is_plain(value, line, start, at) else dumps(value, sort=True)
        text = ",".join([key + texts[name] for name, key in self._sorted if name in texts])
        end = f',"{CHECKSUM}":"{checksum_of(f"{{{text}}}")}"}}'
        return body if line[at:].removesuffix("\n") == end else None

    def _of_samples(self, line: str, start: int) -> tuple[Any, str, int]:
        """Value, text with sorted keys, and end; of one list of digits without parsing it."""
        first = line.find(LIST, start) + len(LIST)
        end = line.find("]", first)
        digits, commas = line[first:end:2], line[first + 1 : end : 2]
        if line.startswith("}},", end + 1) and digits.isdecimal() and commas == "," * (len(digits) - 1):
            head = line[start:first]
            if head not in self._heads:
                self._heads[head] = _head(head)
            if (named := self._heads[head]) is not None:
                name, unit = named
                values = array.array("B", digits.encode().translate(DIGITS))
                found = {name: {"unit": unit, "values": values if len(digits) >= LONG else list(values)}}
                return found if self._samples else {}, line[start : end + 3], end + 3
        value, end = _scan(line, start)
        text = dumps(value, sort=True)  # before it is held as bytes
        return self.kept(value), text, end

    def kept(self, samples: Any) -> Any:
        """What is kept of a record's samples: nothing, or less memory, small whole numbers a byte each, not eight."""
        if not self._samples:
            return {}
        for sample in samples.values() if isinstance(samples, dict) else ():
            values = sample.get("values") if isinstance(sample, dict) else None
            if isinstance(values, list) and len(values) >= LONG and set(map(type, values)) == {int}:
                with contextlib.suppress(OverflowError):  # not small
                    sample["values"] = array.array("B", values)
        return samples


def _is_plain(value: Any, line: str, start: int, end: int) -> bool:
    """Whether a string or a number stands there as it would be written."""
    if type(value) is str:
        return end - start == len(value) + 2  # nothing in it is escaped
    return type(value) is float and repr(value) == line[start:end]


def _parsed(part: str) -> tuple[Any, str]:
    """The value of a part, and its text with sorted keys."""
    value, end = _scan(part, 0)
    if end != len(part):
        raise ValueError("more than a value")
    return value, dumps(value, sort=True)


def _head(head: str) -> tuple[str, str] | None:
    """Name and unit of the only sample, where this is how one begins, and is as it is written with sorted keys."""
    whole = head + "]}}"
    value, end = _scan(whole, 0)
    if end != len(whole) or dumps(value, sort=True) != whole or len(value) != 1:
        return None
    ((name, sample),) = value.items()
    return (name, sample["unit"]) if list(sample) == ["unit", "values"] else None
