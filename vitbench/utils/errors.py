"""Errors that a user can fix; each message says what is wrong, what exists and what to type."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A request that cannot be met. Commands print its message without a traceback and exit with status 2."""


class ConfigError(UserError, ValueError):
    """A setting has an invalid value: a wrong type, word or sign."""


class ImpossibleConfigError(ConfigError):
    """Valid settings that do not go together, such as a patch size that does not divide the image.

    A sweep skips such a cell with this message as the reason; anywhere else it is an error.
    """


def choices(values: Iterable[object]) -> str:
    """The values as a list of words: ``"a, b, c"``."""
    return ", ".join(str(value) for value in values)


def unknown(what: str, value: object, known: Iterable[object]) -> str:
    """``"unknown data set 'digit': digits, quadrant exist; did you mean 'digits'?"``."""
    names = [str(name) for name in known]
    nearest = difflib.get_close_matches(str(value), names, n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    exist = f"{choices(names)} exist" if names else "none exist"
    return f"unknown {what} {str(value)!r}: {exist}{hint}"


OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "std::bad_alloc")
"""Parts of the messages with which torch and C++ say that memory ran out, in lower case."""


def first_line(error: BaseException) -> str:
    """The first line of an error's message, and the next if the first ends in a colon."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[: 2 if lines and lines[0].endswith(":") else 1])


def root_cause(error: BaseException) -> BaseException:
    """The error that the others were raised from."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the root cause of an error is a lack of memory."""
    root = root_cause(error)
    return isinstance(root, MemoryError) or any(words in str(root).lower() for words in OUT_OF_MEMORY)
