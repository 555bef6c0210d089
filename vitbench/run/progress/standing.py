"""How a sweep stands, by its records alone. Nothing of torch or pandas, and nothing that a writer could notice."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from vitbench.run.progress.following import Follower, Row
from vitbench.run.progress.tally import Count, Tally
from vitbench.run.store.lock import Holder

State: TypeAlias = Literal["starting", "running", "unseen", "stopped", "ended", "not running"]


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a sweep stands.

    Attributes:
        folder: where.
        state: ``starting`` no plan yet; ``running``; ``unseen`` what holds the folder cannot be seen from here;
            ``stopped`` nobody runs it and trials are left; ``ended``; ``not running`` with a plan that does not say
            how much there was to do.
        ablation, question, command: of the last plan.
        holder: the last writer.
        counts: by kind, in the order in which they are run.
        skipped: impossible cells.
        failures: the rows that say why something could not be measured.
        now: what is running, as far as the records tell.
        remaining_s: wall-clock seconds, None where they are not known.
        unknown: why they are not known yet.
        last: the newest record.
        age_s: how long ago it was made.
        torn: whether the file ends in a part of a line.
    """

    folder: Path
    state: State
    ablation: str | None = None
    question: str | None = None
    command: str | None = None
    holder: Holder | None = None
    counts: tuple[Count, ...] = ()
    skipped: int = 0
    failures: tuple[Row, ...] = ()
    now: str | None = None
    remaining_s: float | None = None
    unknown: str | None = None
    last: Row | None = None
    age_s: float | None = None
    torn: bool = False

    def total(self, name: Literal["planned", "done", "failed", "left"]) -> int | None:
        """The sum over kinds; None where one of them is not known."""
        found: list[int | None] = [getattr(count, name) for count in self.counts]
        return None if None in found else sum(number for number in found if number is not None)


def standing(folder: Path, follower: Follower, holder: Holder | None, now: float) -> Standing:
    """How the sweep stands at the time ``now`` (seconds since 1970), after what the follower has read."""
    last = follower.rows[-1] if follower.rows else None
    age_s = max(0.0, now - last.ended) if last is not None and last.started else None
    seen: dict[str, Any] = {"folder": folder, "holder": holder, "last": last, "age_s": age_s, "torn": follower.torn}
    held = holder is not None and holder.alive is not False
    alive = holder is not None and holder.alive is True
    if follower.plan is None:
        return Standing(state="starting" if alive else "unseen" if held else "not running", **seen)
    tally = Tally(follower.plan, follower.rows)
    counts = tally.counts()
    left = [count.left for count in counts]
    state: State = "running" if alive else "unseen" if held else "ended" if not any(left) else "stopped"
    if state in {"ended", "stopped"} and None in left:
        state = "not running"
    begun = max(last.ended if last else 0.0, _seconds(holder.since) if holder and alive else now)
    remaining_s, unknown = tally.remaining(counts, max(0.0, now - begun))
    return Standing(
        state=state,
        ablation=follower.ablation,
        question=follower.plan.get("question"),
        command=follower.plan.get("command"),
        counts=counts,
        skipped=sum(row["reason"] is not None for row in follower.plan["variants"]),
        failures=tally.failures(),
        now=tally.busy_with(counts) if held else None,
        remaining_s=remaining_s,
        unknown=unknown,
        **seen,
    )


def _seconds(when: str) -> float:
    """Since 1970; 0 where it is no time."""
    try:
        return dt.datetime.fromisoformat(when).timestamp()
    except ValueError:
        return 0.0
