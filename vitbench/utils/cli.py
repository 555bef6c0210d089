"""What all commands share: options from a dataclass, and a mistake answered in one sentence with exit status 2."""

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
    """How ``--help`` shows an option that need not be given."""
    import tyro

    return tyro.conf.arg(metavar=metavar, help_behavior_hint=f"(default: {default})")


def parse(options: type[T], argv: Sequence[str] | None, *, prog: str) -> T:
    """The options from the command line; ``--help`` prints and exits.

    Raises:
        UserError: the command line cannot be read, in one sentence instead of tyro's box.
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
    """Tyro's error box (a title, then parts divided by rules, in Unicode or ASCII) as one line."""
    lines = [line.strip(" │") for line in box.splitlines() if not line.startswith("╰")]
    parts: list[list[str]] = [[]] if "╭" in box else []
    for line in lines[1:]:
        if re.fullmatch(r"[-─]{5,}", line):
            parts.append([])
        elif parts:
            parts[-1].append(line)
    sentences = [" ".join(" ".join(part).split()) for part in parts]
    problem = _number(_choices(next(filter(None, sentences), "the command line cannot be read").rstrip(".")))
    meant = [re.findall(r"--[a-z-]+", part) for part in sentences if part.startswith("Perhaps you meant")]
    hint = f"; did you mean {' or '.join(dict.fromkeys(meant[0]))}?" if meant else "."
    return f"{problem}{hint} `{prog} --help` shows what exists."


def _choices(problem: str) -> str:
    """What may be typed in the place of a wrong word, in order; an option that need not be given has no word for it."""

    def listed(found: re.Match[str]) -> str:
        words = sorted(word for word in re.findall("'([^']*)'", found[1]) if word != "None")
        return f"Expected one of {choices(words)}"

    return re.sub(r"Expected one of \((.*)\)", listed, problem)


def _number(problem: str) -> str:
    """That a word is no number, without the words of Python's conversions."""
    found = re.match(r"Error parsing (\S+): .*(INT|FLOAT|int\(\)|to float).*?'([\w.+ -]*)'(?=[^']*$)", problem)
    if not found:
        return problem
    return f"{found[1]} takes a {'whole ' if found[2].upper().startswith('INT') else ''}number, not {found[3]!r}"


def run(command: Callable[[], int]) -> int:
    """The command's exit status; mistakes and interruptions become a message, never a traceback."""
    try:
        with _plain_warnings():
            return command()
    except UserError as error:
        print(f"vitbench: {error}", file=sys.stderr)
        return MISTAKE
    except KeyboardInterrupt:
        print("vitbench: interrupted; everything so far is kept, the same command goes on", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has left; Python would complain once more on exit
        return 0


@contextlib.contextmanager
def _plain_warnings() -> Iterator[None]:
    """Our own warnings as a line of words; those of libraries as Python shows them."""
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


class _Forgiving(io.FileIO):
    """A descriptor that is written to; once nobody can read what is written, it leads nowhere."""

    def write(self, data: Buffer, /) -> int:
        try:
            return super().write(data)
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return memoryview(data).nbytes


@contextlib.contextmanager
def outliving_readers() -> Iterator[None]:
    """For commands whose work matters more than what they print, and goes on when nobody reads that any more.

    A closed terminal, a pipe whose reader has left (``| head``) and a log file on a full disk are then no errors.
    """
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(_forgiving, before)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = before


def _forgiving(stream: TextIO) -> TextIO:
    try:
        raw = _Forgiving(stream.fileno(), "w", closefd=False)
    except (OSError, ValueError, AttributeError):  # there is no descriptor behind it
        return stream
    with contextlib.suppress(OSError):
        stream.flush()
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding=stream.encoding, errors=stream.errors, line_buffering=True)


def import_from_here() -> None:
    """A ``module:function`` is looked for in the working directory too, under ``vitbench COMMAND`` as under ``-m``."""
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)


def progress(text: str) -> None:
    """One line that is written over and over; nothing where there is no terminal."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
