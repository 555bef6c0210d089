"""Shared by all commands: options from a dataclass, and one sentence with exit status 2 for a user's mistake."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from vitbench.utils.errors import UserError, choices

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

T = TypeVar("T")

MISTAKE = 2
INTERRUPTED = 130


def option(metavar: str, default: str) -> Any:
    """How ``--help`` shows an optional option."""
    import tyro

    return tyro.conf.arg(metavar=metavar, help_behavior_hint=f"(default: {default})")


def parse(options: type[T], argv: Sequence[str] | None, *, prog: str) -> T:
    """The options of a command line; ``--help`` prints and exits.

    Raises:
        UserError: the command line cannot be parsed; one sentence replaces tyro's box.
    """
    import tyro

    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            return tyro.cli(options, args=argv, prog=prog)
    except SystemExit as stop:
        if not stop.code:
            raise
        raise UserError(_one_sentence(printed.getvalue(), prog)) from None


def _one_sentence(box: str, prog: str) -> str:
    """Tyro's error box (a title, then parts separated by rules, in Unicode or ASCII) as one line."""
    lines = [line.strip(" │") for line in box.splitlines() if not line.startswith("╰")]
    parts: list[list[str]] = [[]] if "╭" in box else []
    for line in lines[1:]:
        if re.fullmatch(r"[-─]{5,}", line):
            parts.append([])
        elif parts:
            parts[-1].append(line)
    sentences = [" ".join(" ".join(part).split()) for part in parts]
    problem = _number(_choices(next(filter(None, sentences), "the command line cannot be parsed").rstrip(".")))
    meant = [re.findall(r"--[a-z-]+", part) for part in sentences if part.startswith("Perhaps you meant")]
    hint = f"; did you mean {' or '.join(dict.fromkeys(meant[0]))}?" if meant else "."
    return f"{problem}{hint} `{prog} --help` shows what exists."


def _choices(problem: str) -> str:
    """The problem with the allowed words sorted, without the None of an optional option."""

    def listed(found: re.Match[str]) -> str:
        words = sorted(word for word in re.findall("'([^']*)'", found[1]) if word != "None")
        return f"Expected one of {choices(words)}"

    return re.sub(r"Expected one of \((.*)\)", listed, problem)


def _number(problem: str) -> str:
    """The problem in plain words where a word is not a number."""
    found = re.match(r"Error parsing (\S+): .*(INT|FLOAT|int\(\)|to float).*?'([\w.+ -]*)'(?=[^']*$)", problem)
    if not found:
        return problem
    return f"{found[1]} takes a {'whole ' if found[2].upper().startswith('INT') else ''}number, not {found[3]!r}"


def run(command: Callable[[], int]) -> int:
    """The command's exit status; user errors and interrupts become a message, never a traceback."""
    try:
        with _plain_warnings():
            return command()
    except UserError as error:
        print(f"vitbench: {error}", file=sys.stderr)
        return MISTAKE
    except KeyboardInterrupt:
        print("vitbench: interrupted; all results so far are kept, run the same command to resume", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # the reader of the pipe is gone; Python would report it again on exit
        return 0


@contextlib.contextmanager
def _plain_warnings() -> Iterator[None]:
    """Shows our own warnings as one line, those of libraries as usual."""
    before = warnings.showwarning

    def show(message: Any, category: type[Warning], *rest: Any, **kept: Any) -> None:
        if category is UserWarning:
            print(f"note: {message}", file=sys.stderr)
        else:
            before(message, category, *rest, **kept)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = before


class _Unbreakable(io.FileIO):
    """A file descriptor that switches to /dev/null when writing fails."""

    def write(self, data: Buffer, /) -> int:
        try:
            return super().write(data)
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return memoryview(data).nbytes


@contextlib.contextmanager
def surviving_closed_output() -> Iterator[None]:
    """Keeps a command running when its output cannot be written.

    A closed terminal, a closed pipe (``| head``) and a log file on a full disk are then no errors.
    """
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(_unbreakable, before)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = before


def _unbreakable(stream: TextIO) -> TextIO:
    try:
        raw = _Unbreakable(stream.fileno(), "w", closefd=False)
    except (OSError, ValueError, AttributeError):  # the stream has no file descriptor
        return stream
    with contextlib.suppress(OSError):
        stream.flush()
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding=stream.encoding, errors=stream.errors, line_buffering=True)


def import_from_here() -> None:
    """Makes modules in the working directory importable, for ``vitbench COMMAND`` as for ``python -m``."""
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)


def progress(text: str) -> None:
    """Overwrites one line of the terminal; prints nothing if stderr is not a terminal."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
