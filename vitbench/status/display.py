"""The status of a sweep as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vitbench.run.progress.view import duration, failure, time_left

MOST_FAILURES = 12
"""Failures in the text; ``--json`` has all."""

LONGEST_REASON = 200
"""Characters of a reason in the text."""

STOPPED_BY = {
    "interrupt": "it was interrupted",
    "budget": "its --budget was spent",
    "error": "an error ended it",
    "kill": "its process was killed or lost",
}


def as_text(found: Mapping[str, Any]) -> str:
    """The lines for a terminal: state, counts by kind, running trials, time left, failures."""
    state = found["state"]
    if state == "not recorded":
        return "\n".join(_records(found))
    if state == "starting":
        return f"{found['folder']}: starting, {_writer(found)}; the plan is not ready yet"
    lines = [f"{found['ablation']}: {_state(found)}", found["question"], ""]
    heads = ("done", "failed", "running", "left", "planned")
    totals = {head: sum(kind[head] for kind in found["kinds"]) for head in heads}
    rows = [(kind["kind"].replace("_", " "), *(str(kind[head]) for head in heads)) for kind in found["kinds"]]
    lines += _aligned([("", *heads), *rows, ("all", *map(str, totals.values()))])
    if found["skipped"]:
        lines.append(f"{found['skipped']} impossible variant{'s' * (found['skipped'] != 1)} skipped")
    lines.append("")
    if state != "finished":
        ended = totals["planned"] - totals["running"] - totals["left"]
        unknown = found["remaining_s"] is None
        left = "time left not known yet" if unknown else time_left(found["remaining_s"], totals["failed"])
        lines.append(f"progress    {ended}/{totals['planned']}, {left}")
    for trial in found["running"]:
        lines.append(f"running     {trial['trial']}, for {duration(trial['seconds'])}")
    if (last := found["last_trial"]) is not None:
        status = "" if last["status"] == "ok" else f", {last['status']}"
        lines.append(f"last trial  {duration(last['age_s'])} ago: {last['trial']}{status}")
    if found["failures"]:
        lines += ["", "failed:", *_failures(found["failures"])]
    return "\n".join(lines)


def _records(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"{found['folder']}: no sweep recorded its progress here; the folder was copied, published or made elsewhere"
    if not found["records"]:
        yield "no records yet"
    for kind, counts in found["records"].items():
        numbers = ", ".join(f"{number} {status}" for status, number in counts.items())
        yield f"{kind.replace('_', ' ')}: {numbers}"


def _state(found: Mapping[str, Any]) -> str:
    state, resume = found["state"], f"resume with: {found['command']}" if found["command"] else "run it again to resume"
    if state == "finished":
        return "finished, no trials left"
    if state == "stopped":
        why = STOPPED_BY[found["stopped_by"]] + (f" ({found['error']})" if found["error"] else "")
        return f"stopped, {found['left']} trials left: {why}; {resume}"
    if state == "unknown":
        ago = duration(found["age_s"])
        return f"last progress {ago} ago, by {_writer(found)}; this machine cannot see whether it still runs"
    return f"running, {_writer(found)}"


def _writer(found: Mapping[str, Any]) -> str:
    writer = found["writer"]
    return f"process {writer['pid']} on {writer['host']} since {writer['since'][:19].replace('T', ' ')} UTC"


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))])
        for first, *rest in rows
    ]


def _failures(failures: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """One line for all failures of a variant with the same status and reason."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for row in failures:
        trial = row["kind"].replace("_", " ") + ("" if row["seed"] is None else f" seed {row['seed']}")
        groups.setdefault((row["variant"], row["status"], row["reason"] or ""), []).append(trial)
    for (variant, status, reason), trials in list(groups.items())[:MOST_FAILURES]:
        short = reason if len(reason) <= LONGEST_REASON else reason[: LONGEST_REASON - 1] + "…"
        yield "  " + failure(f"{variant} ({', '.join(trials)})", status, short)
    if len(groups) > MOST_FAILURES:
        yield f"  and {len(groups) - MOST_FAILURES} more; --json shows all"
