"""``python -m vitbench.report DIR [DIR …]``: render a report from its records, or verify the one there."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from vitbench.utils import cli

WRONG = 1


@dataclass(frozen=True)
class Options:
    """Render table, figures and report from the records of a results folder. Several folders of one ablation merge."""

    folders: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="DIR [DIR …]")]
    allow_mixed: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """show folders of other settings or machines side by side with the first: nothing is subtracted across them"""
    verify: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """write nothing: compute everything again and name what does not match (exit status 1 where something does not)"""


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit status: 0, 1 where a verification found something, 2 for a mistake."""
    return cli.run(lambda: _render(argv))


def _render(argv: Sequence[str] | None) -> int:
    options = cli.parse(Options, argv, prog="python -m vitbench.report")
    if options.verify:
        return _verify(options)
    from vitbench.report import write

    print(
        write(
            *options.folders,
            notice=lambda text: print(f"vitbench: {text}", file=sys.stderr),
            mixed=options.allow_mixed,
        )
    )
    return 0


def _verify(options: Options) -> int:
    from vitbench.report.verify import verify

    found = verify(*options.folders, mixed=options.allow_mixed)
    print("\n".join(found.lines()))
    return 0 if found.holds else WRONG


if __name__ == "__main__":
    sys.exit(main())
