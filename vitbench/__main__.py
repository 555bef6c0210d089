"""One console script for all commands: ``vitbench ablate pos_embed`` is ``python -m vitbench.ablate pos_embed``."""

from __future__ import annotations

import importlib
import sys

from vitbench.utils import cli
from vitbench.utils.errors import UserError, unknown

COMMANDS = {
    "ablate": ("vitbench.ablate", "run an ablation, then write table, figures and report"),
    "doctor": ("vitbench.doctor.__main__", "whether this machine's numbers can be believed today, and what to change"),
    "evaluate": ("vitbench.evaluate.__main__", "a checkpoint on the test split of a data set"),
    "measure": ("vitbench.measure.__main__", "what named models cost, side by side"),
    "report": ("vitbench.report.__main__", "render a report again from its records"),
    "status": ("vitbench.status.__main__", "progress of a running sweep, from another terminal"),
    "trace": ("vitbench.trace", "where a step's time and memory go, for TensorBoard and as a summary"),
}


def main() -> int:
    """Hands the rest of the command line to the command named first."""
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
