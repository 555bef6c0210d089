"""``python -m vitbench.report DIR [DIR …]``: render a report again from its records."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from vitbench import cli


@dataclass(frozen=True)
class Options:
    """Render table, figures and report from the records of a results folder. Several folders of one ablation merge."""

    folders: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="DIR [DIR …]")]


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    return cli.run(lambda: _render(argv))


def _render(argv: Sequence[str] | None) -> int:
    options = cli.parse(Options, argv, prog="python -m vitbench.report")
    from vitbench.report import write

    print(write(*options.folders, notice=lambda text: print(f"vitbench: {text}", file=sys.stderr)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
