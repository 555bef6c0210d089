"""``python -m vitbench.status DIR``: how a sweep stands, from another terminal; its writer does not notice."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from vitbench.utils import cli
from vitbench.utils.errors import UserError, unknown

if TYPE_CHECKING:
    from vitbench.run.progress.following import Row
    from vitbench.run.progress.standing import Standing

PROG = "python -m vitbench.status"
CLEAR = "\x1b[H\x1b[2J"

SHOWN = 12
"""Failures in the text; ``--json`` has all."""

REASON = 200
"""Characters of a reason in the text."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a sweep stands: what is done, what runs, what failed and why, how long it will take still.

    It reads what is on the disk, takes no lock and writes nothing.
    """

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """The sweep's results folder: results/NAME."""
    watch: Annotated[float | None, cli.option("SECONDS", "once")] = None
    """Look again every so many seconds, until the sweep ends. Not below 1: it would take time from what is timed."""
    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """Everything, as JSON; with --watch one line each time."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 it was read, whatever it says, 2 a request that cannot be met."""
    return cli.run(lambda: status(cli.parse(Options, argv, prog=PROG)))


def status(options: Options, *, sleep: Callable[[float], None] = time.sleep) -> int:
    """Reads and prints, once or until the sweep ends.

    Raises:
        UserError: there is no such folder, or it holds what is no record.
    """
    if options.watch is not None and not options.watch >= 1:
        raise UserError(f"--watch {options.watch:g} looks too often: type 1 or more seconds")
    check_folder(options.folder)
    from vitbench.records.reader import RECORDS
    from vitbench.run.progress.following import Follower
    from vitbench.run.progress.standing import standing
    from vitbench.run.store.lock import holder_of

    follower = Follower(options.folder / RECORDS)
    terminal = sys.stdout.isatty()
    first = True
    try:
        while True:
            holder = holder_of(options.folder)  # before the records: what it leaves last is then read
            follower.read()
            found = standing(options.folder, follower, holder, time.time())
            if options.json:
                print(json.dumps(as_json(found), indent=None if options.watch else 2, ensure_ascii=False), flush=True)
            else:
                between = "" if options.watch is None else CLEAR if terminal else "" if first else "\n"
                print(between + as_text(found), flush=True)
            if options.watch is None or found.state not in {"starting", "running", "unseen"}:
                return 0
            first = False
            sleep(options.watch)
    except KeyboardInterrupt:
        if options.watch is None:
            raise
        return 0  # the way to stop watching; the sweep goes on


def check_folder(folder: Path) -> None:
    """Raises UserError where the folder is none that a sweep has written or is about to."""
    from vitbench.records.reader import RECORDS
    from vitbench.run.store.lock import LOCK

    if (folder / RECORDS).is_file() or (folder / LOCK).is_file():
        return
    place = folder.resolve().parent
    name = folder.resolve().name
    if folder.exists():
        what = f"{folder} is no results folder: it has no {RECORDS}"
        raise UserError(f"{what}; type {PROG} results/NAME, or python -m vitbench.ablate NAME to make one")
    usual = Path("results") / folder
    if (usual / RECORDS).is_file():
        raise UserError(f"no folder {folder}, but {usual} exists: type {PROG} {usual}")
    beside = sorted(path.parent.name for path in place.glob(f"*/{RECORDS}"))
    raise UserError(
        f"{unknown('results folder', name, beside)} in {place}; type {PROG} DIR with one that exists, "
        "or python -m vitbench.ablate NAME to make one"
    )


def as_json(found: Standing) -> dict[str, Any]:
    """Everything, by name; times in seconds, what is not known is null."""
    last = None
    if found.last is not None:
        last = {key: getattr(found.last, key) for key in ("kind", "variant", "seed", "status")} | {"age_s": found.age_s}
    return {
        "folder": str(found.folder),
        "ablation": found.ablation,
        "question": found.question,
        "state": found.state,
        "holder": None if found.holder is None else asdict(found.holder),
        "command": found.command,
        **{name: found.total(name) for name in ("planned", "done", "failed", "left")},
        "kinds": [asdict(count) for count in found.counts],
        "skipped": found.skipped,
        "failures": [
            {key: getattr(row, key) for key in ("variant", "kind", "seed", "status", "reason")}
            for row in found.failures
        ],
        "now": found.now,
        "remaining_s": found.remaining_s,
        "remaining_unknown": found.unknown,
        "last_record": last,
        "torn": found.torn,
    }


def as_text(found: Standing) -> str:
    """For a reader: state, counts, what runs, time left, failures."""
    from vitbench.run.progress.view import duration

    lines = [f"{found.ablation or found.folder}: {_state(found)}"]
    if found.question:
        lines.append(found.question)
    if found.counts:
        lines += ["", *_table(found)]
    if found.skipped:
        lines.append(f"{found.skipped} impossible variant{'s' * (found.skipped != 1)} skipped")
    lines.append("")
    if found.now:
        lines.append(f"now          {found.now}")
    if found.counts and found.state != "ended":
        left = "not known" + " yet" * (found.state == "running") + f": {found.unknown}"
        if found.remaining_s is not None:
            left = f"about {duration(found.remaining_s)}"
        lines.append(f"time left    {left}")
    if found.last is not None and found.age_s is not None:
        lines.append(f"last record  {duration(found.age_s)} ago: {_subject(found.last)}")
    else:
        lines.append("last record  none yet")
    if found.torn:
        lines.append("the last line has no end: it is being written, or a crash tore it; the next run sets it aside")
    if found.failures:
        lines += ["", "failed:", *_failures(found.failures)]
    return "\n".join(lines)


def _state(found: Standing) -> str:
    holder = found.holder
    who = "" if holder is None else f"process {holder.pid} on {holder.host} since {holder.since[:19].replace('T', ' ')}"
    who += " UTC" * (holder is not None and holder.since.endswith("+00:00"))
    again = f"; the same command goes on: {found.command}" if found.command else "; the same command goes on"
    said = {
        "starting": f"starting, {who}; nothing is planned yet",
        "running": f"running, {who}",
        "unseen": f"begun by {who}; whether that still runs cannot be seen from here",
        "ended": "ended, nothing is left",
        "stopped": f"stopped, nobody is writing it; {found.total('left')} trials are left{again}",
        "not running": "nobody is writing it" + "; nothing is recorded" * (found.last is None),
    }
    return said[found.state]


def _table(found: Standing) -> list[str]:
    """A row a kind, and their sum where it is known; columns as wide as they must be."""
    heads = ("", "done", "failed", "left", "planned")
    rows = [(c.kind.replace("_", " "), c.done, c.failed, c.left, c.planned) for c in found.counts]
    rows.append(("all", *(found.total(name) for name in ("done", "failed", "left", "planned"))))  # type: ignore[arg-type]
    cells = [heads, *(tuple("?" if cell is None else str(cell) for cell in row) for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(heads))]
    lines = []
    for first, *others in cells:
        numbers = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        lines.append("  ".join([first.ljust(widths[0]), *numbers]))
    return lines


def _subject(row: Row) -> str:
    parts = [row.kind.replace("_", " "), row.variant]
    parts += [] if row.seed is None else [f"seed {row.seed}"]
    return " ".join(part for part in parts if part) + ("" if row.ok else f", {row.status}")


def _failures(rows: Sequence[Row]) -> list[str]:
    """A line for each reason that a variant had, with the kinds and seeds that it had it in."""
    groups: dict[tuple[str, str, str | None], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.variant, row.status, row.reason), []).append(row)
    lines = []
    for (variant, how, reason), own in list(groups.items())[:SHOWN]:
        seeds: dict[str, list[str]] = {}
        for row in own:
            seeds.setdefault(row.kind.replace("_", " "), []).extend([] if row.seed is None else [str(row.seed)])
        where = ", ".join(kind + f" (seed {', '.join(s)})" * bool(s) for kind, s in seeds.items())
        why = "" if reason is None else reason if len(reason) <= REASON else reason[: REASON - 1] + "…"
        lines.append(f"  {variant}: {how} in {where}" + f": {why}" * bool(why))
    more = len(groups) - len(lines)
    return [*lines, *([f"  and {more} more: --json has all"] if more > 0 else [])]


if __name__ == "__main__":
    sys.exit(main())
