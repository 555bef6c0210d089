"""The lines of ``records.jsonl``: JSON objects whose fields have one order and whose last field is a checksum.

The checksum is that of the line's own bytes before it, so that it is checked without parsing anything. Many lines are
read together: most fields (a config, settings, versions) have the same text in thousands of lines. Such a text is
parsed once, and all these records share its value, which saves time and memory.
"""

from __future__ import annotations

import array
import contextlib
import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

CHECKSUM = b',"checksum":"'
SHARED_UP_TO = 20_000
"""Characters of a field's text beyond which it is not kept for later lines."""

LONG = 32
"""Values from which on a list of whole numbers below 256 is held as bytes."""

_ENCODERS = [
    json.JSONEncoder(sort_keys=sort, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for sort in (False, True)
]
"""``json.dumps`` would make a new one at each call."""


def dumps(value: Any, *, sort: bool = False) -> str:
    """The value as JSON without spaces.

    Raises:
        ValueError: it holds NaN or infinity, which JSON does not have.
    """
    return _ENCODERS[sort].encode(value)


def add_checksum(fields: Mapping[str, Any]) -> str:
    """The line of these fields, their checksum last, without the newline."""
    text = dumps(fields)[:-1]
    return f'{text}{CHECKSUM.decode()}{_checksum(text.encode())}"}}'


def checked_part(line: bytes) -> bytes | None:
    """The part of a line that its checksum covers; None where the checksum does not match."""
    text, mark, rest = line.rpartition(CHECKSUM)
    return text if mark and rest.removesuffix(b"\n") == f'{_checksum(text)}"}}'.encode() else None


def _checksum(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:16]


class LineReader:
    """Reads lines that ``add_checksum`` wrote of the same fields.

    Args:
        names: of the fields, in the order in which they are written.
        own: fields whose text seldom occurs twice; the values of all others are shared.
        samples: whether the field ``samples`` is kept; without it, records take little memory.
    """

    def __init__(self, names: Sequence[str], own: Collection[str], *, samples: bool = True) -> None:
        keys = [f'"{name}":' for name in names]
        self._fields = list(zip(names, map(len, keys), [*(f",{key}" for key in keys[1:]), ""], strict=True))
        self._start = "{" + keys[0]
        self._own, self._samples = frozenset(own), samples
        self._shared: dict[str, Any] = {}

    def read(self, line: bytes) -> dict[str, Any] | None:
        """The fields of a line; None where it is not exactly as written, which ``json.loads`` may tell more about."""
        text = checked_part(line)
        if text is None:
            return None
        try:
            return self._split(text.decode())
        except (ValueError, RecursionError):
            return None

    def _split(self, text: str) -> dict[str, Any] | None:
        """The fields of a text, cut where the next field's name follows.

        Where a value holds that name too, the cut leaves an open bracket: that is no JSON, so the line is refused.
        """
        if not text.startswith(self._start):
            return None
        found: dict[str, Any] = {}
        at = 1
        for name, width, following in self._fields:
            start = at + width
            end = text.find(following, start) if following else len(text)
            if end < 0:
                return None
            found[name] = self._value(name, text[start:end])
            at = end + 1
        return found

    def _value(self, name: str, text: str) -> Any:
        if name == "samples":
            return self.compact(json.loads(text)) if self._samples else {}
        if name in self._own or len(text) > SHARED_UP_TO:
            return json.loads(text)
        if text not in self._shared:
            self._shared[text] = json.loads(text)
        return self._shared[text]

    def compact(self, samples: Any) -> Any:
        """The samples as this reader keeps them: none, or small whole numbers in one byte each instead of eight."""
        if not self._samples:
            return {}
        for sample in samples.values() if isinstance(samples, dict) else ():
            values = sample.get("values") if isinstance(sample, dict) else None
            if isinstance(values, list) and len(values) >= LONG and set(map(type, values)) == {int}:
                with contextlib.suppress(OverflowError):  # not all are small
                    sample["values"] = array.array("B", values)
        return samples
