"""The console script ``vitbench COMMAND …``, which runs ``python -m vitbench.COMMAND …``."""

from __future__ import annotations

import importlib
import sys

from vitbench.utils import cli
from vitbench.utils.errors import UserError, unknown

COMMANDS = {
    "ablate": ("vitbench.ablate", "run an ablation, then write table, figures and report"),
    "doctor": ("vitbench.doctor.__main__", "check whether numbers measured on this machine hold up"),
    "evaluate": ("vitbench.evaluate.__main__", "evaluate a checkpoint on the test split of a data set"),
    "measure": ("vitbench.measure.__main__", "measure what named models cost, side by side"),
    "report": ("vitbench.report.__main__", "render a report again from its records, or verify it"),
    "status": ("vitbench.status.__main__", "show the progress of a running sweep, from another terminal"),
    "trace": ("vitbench.trace.__main__", "profile a model's steps for TensorBoard, with a summary"),
}


def main() -> int:
    """Runs the command named first with the rest of the command line."""
    name, *rest = sys.argv[1:] or ["--help"]
    if name in {"-h", "--help"}:
        print("usage: vitbench COMMAND …   (vitbench COMMAND --help says more)\n")
        print("\n".join(f"  {command:10}{does}" for command, (_, does) in COMMANDS.items()))
        return 0
    if name not in COMMANDS:
        return cli.run(lambda: _refuse(name))
    status: int = importlib.import_module(COMMANDS[name][0]).main(rest)
    return status


def _refuse(name: str) -> int:
    raise UserError(unknown("command", name, COMMANDS))


if __name__ == "__main__":
    sys.exit(main())
