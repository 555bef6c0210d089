"""One's turn at a results folder: at once, or when the process that writes it has ended."""

from __future__ import annotations

import time
from pathlib import Path

from vitbench.records.reader import Notice
from vitbench.run.store.lock import HeldError, move_aside
from vitbench.run.store.writer import Writer

POLL_S = 0.5


def take(directory: Path, note: Notice, *, fresh: bool = False, wait: bool = False) -> Writer:
    """The writer of the folder.

    Args:
        directory: the folder.
        note: told who holds it, what was moved, what was repaired.
        fresh: moves an existing folder aside first.
        wait: until nobody holds it; Ctrl-C leaves.

    Raises:
        HeldError: another process is writing it, and this one is not to wait.
        UserError: it cannot be written, or moved, or a line is damaged.
    """
    told = ""
    while True:
        try:
            if fresh and (moved := move_aside(directory)):
                note(f"{directory} was moved to {moved}")
            fresh = False
            return Writer(directory, note)
        except HeldError as held:
            if not wait:
                raise
            if (said := str(held).partition(": type")[0]) != told:
                note(f"{said}: waiting until it has ended")
                told = said
        time.sleep(POLL_S)
