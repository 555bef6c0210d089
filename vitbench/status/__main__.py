"""``python -m vitbench.status DIR``: how far a sweep is, from another terminal and without disturbing it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from vitbench.utils import cli
from vitbench.utils.errors import UserError

PROG = "python -m vitbench.status"
CLEAR = "\x1b[H\x1b[2J"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Show how far a sweep is: its finished, running, failed and remaining trials, and the time left.

    It reads one small file that the sweep writes; the sweep does not notice.
    """

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """The results folder of the sweep: results/NAME."""
    watch: Annotated[float | None, cli.option("SECONDS", "once")] = None
    """Repeat every SECONDS (1 or more) until the sweep ends."""
    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print everything as JSON; with --watch, one line per reading."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 the status was printed, whatever it is; 2 a request that cannot be met."""
    return cli.run(lambda: status(cli.parse(Options, argv, prog=PROG)))


def status(options: Options, *, sleep: Callable[[float], None] = time.sleep) -> int:
    """Prints the status, once or until the sweep ends.

    Raises:
        UserError: there is no such results folder, or its records cannot be read.
    """
    if options.watch is not None and not options.watch >= 1:
        raise UserError(f"--watch {options.watch:g} is too short: type 1 or more seconds")
    from vitbench.status.display import as_text
    from vitbench.status.state import ACTIVE, sweep_status

    separator = CLEAR if options.watch is not None and sys.stdout.isatty() else ""
    try:
        while True:
            found = sweep_status(options.folder)
            if options.json:
                print(json.dumps(found, indent=None if options.watch else 2, ensure_ascii=False), flush=True)
            else:
                print(separator + as_text(found), flush=True)
                separator = separator or "\n"
            if options.watch is None or found["state"] not in ACTIVE:
                return 0
            sleep(options.watch)
    except KeyboardInterrupt:
        if options.watch is None:
            raise
        return 0  # Ctrl-C ends the watching; the sweep continues


if __name__ == "__main__":
    sys.exit(main())
