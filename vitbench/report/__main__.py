"""``python -m vitbench.report DIR [DIR …]``: render a report from its records, or verify it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from vitbench.utils import cli

MISMATCH = 1


@dataclass(frozen=True)
class Options:
    """Render table, figures and report from the records of a results folder; several of one ablation are merged."""

    folders: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="DIR [DIR …]")]
    allow_mixed: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """show results from other settings or machines beside those of the first folder, without comparing them"""
    verify: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """compute the report again and list every mismatch, without writing (exit status 1 if there is one)"""


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status: 0, 1 if a verification found a mismatch, 2 for a wrong request."""
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
    return 0 if found.holds else MISMATCH


if __name__ == "__main__":
    sys.exit(main())
