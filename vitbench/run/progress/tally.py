"""The trials of a plan held against the records of its folder: by kind what ended, what failed, what is left.

And what that says of what is running, and of the time that it will take still. No torch, no pandas.
"""

from __future__ import annotations

import itertools
import statistics
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vitbench.declare.quantities import read_quantities
from vitbench.records.record import FAILURES
from vitbench.run.progress.following import TUNED, Row

ALIKE = {"accuracy": ("tuning", TUNED), "tuning": ("accuracy", TUNED), TUNED: ("accuracy", "tuning")}
"""Whose seconds speak for a kind of which nothing has ended: all of these train the same models."""

NAMED = 4


@dataclass(frozen=True, kw_only=True)
class Count:
    """Trials of a kind. ``planned`` and ``left`` are None where the plan, of an older version, does not say.

    ``failed`` counts what could not be measured: in a timing session that is each variant that was left out.
    """

    kind: str
    planned: int | None
    done: int
    failed: int
    left: int | None


@dataclass
class Tally:
    """The trials of a plan, held against the records; those of earlier plans, and of older code, do not count.

    Args:
        plan: the values of the plan record.
        rows: of the folder, in order.
    """

    plan: Mapping[str, Any]
    rows: Sequence[Row]
    _of: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        self.planned: Mapping[str, int] | None = self.plan.get("trials")
        self.able = [row["name"] for row in self.plan["variants"] if row["reason"] is None]
        tried = (self.plan.get("tuning") or {}).get("tried", {})
        self.tries = {i for tries in tried.values() for one in tries for i in one["ids"]}
        self._quantities = read_quantities(self.plan)
        versions = self.rows[-1].rooms
        able, seeds = set(self.able), self.plan["seeds"]
        for row in self.rows:
            kind = "accuracy" if row.kind == TUNED else row.kind
            quantity = self._quantities.get(kind)
            if quantity is None or any(row.rooms.get(name) != versions.get(name) for name in quantity.components):
                continue
            wanted = row.id in self.tries if kind == "tuning" else row.variant in able
            if wanted and (kind != "accuracy" or (row.seed or 0) < seeds):
                self._of[row.kind].append(row)

    @property
    def _phases(self) -> list[list[str]]:
        """Kinds in the order in which a sweep runs them; those of one phase that are no sessions go side by side."""
        groups = itertools.groupby(
            self._quantities.values(), lambda q: q.kind if q.per == "session" else q.phase or q.kind
        )
        return [*([quantity.kind for quantity in group] for _, group in groups), [TUNED]]

    def _joint(self, kind: str) -> bool:
        """Whether the kind is measured in sessions."""
        return kind in self._quantities and self._quantities[kind].per == "session"

    @property
    def kinds(self) -> list[str]:
        """Those that are planned, or recorded where the plan does not say."""
        known: Collection[str] = self._of if self.planned is None else self.planned
        return [kind for phase in self._phases for kind in phase if kind in known]

    def counts(self) -> tuple[Count, ...]:
        return tuple(self._count(kind) for kind in self.kinds)

    def _count(self, kind: str) -> Count:
        planned = None if self.planned is None else self.planned[kind]
        failed = self._failed(kind)
        if self._joint(kind):
            done = self._sessions(kind, planned or 1)
            alone = self.plan["baseline"] in {row.variant for row in failed}  # the others have nothing to compare with
            ended = (planned or 1) if alone else done
        else:
            done = len({row.id for row in self._of[kind] if row.ok})
            ended = done + len(failed)
        if planned is not None and kind == TUNED:
            ended += round(planned * len(self._without_a_try()) / len(self.able))  # nobody will train those
        left = None if planned is None else max(0, planned - ended)
        return Count(kind=kind, planned=planned, done=done, failed=len(failed), left=left)

    def _failed(self, kind: str) -> list[Row]:
        """One row for each thing that could not be measured, and was not measured later."""
        found: dict[str, Row] = {}
        for row in self._of[kind]:
            if row.status in FAILURES:
                found.setdefault(row.id, row)
        if not self._joint(kind):
            good = {row.id for row in self._of[kind] if row.ok}
            return [row for name, row in found.items() if name not in good]
        later = {row.variant: number for number, row in enumerate(self._of[kind]) if row.ok}
        worse = {row.id: number for number, row in enumerate(self._of[kind]) if not row.ok}
        return [row for name, row in found.items() if worse[name] > later.get(row.variant, -1)]

    def _sessions(self, kind: str, planned: int) -> int:
        """Whole sessions, of so many that between them time everyone but those who failed; of older ones none."""
        sessions: dict[str, set[str]] = defaultdict(set)
        sizes: dict[str, tuple[int, int]] = {}
        for row in self.rows:
            if row.session is not None and row.kind.removesuffix("_control") == kind:
                sessions[row.session] |= {row.variant}
                sizes[row.session] = (sizes.get(row.session, (0, 0))[0] + 1, row.size or 0)
        missing = {row.variant for row in self._of[kind] if row.status in FAILURES}
        own = {row.session for row in self._of[kind]}
        timed, number = set[str](), 0
        for name, members in reversed(sessions.items()):
            if name in own and sizes[name][0] >= sizes[name][1] and not members <= timed:
                timed |= members
                number += 1
        return planned if timed and timed | missing >= set(self.able) else min(number, planned - 1)

    def _without_a_try(self) -> set[str]:
        """Variants all of whose tries are recorded, and gave nothing: they get no accuracy under a tuned recipe."""
        tuning = self.plan["tuning"]
        known = {row.id for row in self._of["tuning"]}
        good = {row.id for row in self._of["tuning"] if row.ok and row.scored}
        over = {
            name
            for name, tries in tuning["tried"].items()
            if all(i in known for one in tries for i in one["ids"])
            and not any(all(i in good for i in one["ids"]) for one in tries)
        }
        return {variant for variant, tried in tuning["of"].items() if tried in over}

    def failures(self) -> tuple[Row, ...]:
        return tuple(row for kind in self.kinds for row in self._failed(kind))

    def busy_with(self, counts: Sequence[Count]) -> str | None:
        """What a sweep with these records turns to next; None where all has ended."""
        left = {count.kind: count.left for count in counts if count.left}
        kinds = next((kinds for phase in self._phases if (kinds := [k for k in phase if k in left])), [])
        if not kinds:
            return None
        kind = kinds[0]
        if self._joint(kind):
            if left[kind] > 1:
                return f"{kind.replace('_', ' ')}, {left[kind]} sessions left"
            failed = {row.variant for row in self._of[kind] if row.status in FAILURES}
            number = len(set(self.able) - failed)
            return f"{kind.replace('_', ' ')} of {number} variant{'s' * (number != 1)}"
        waiting = self._waiting(kind) if kind in {"accuracy", TUNED} else []
        if not waiting:
            return " and ".join(f"{kind}, {left[kind]} left" for kind in kinds)
        seed = min(seed for _, seed in waiting)
        names = [name for name, own in waiting if own == seed]
        said = ", ".join(names[:NAMED]) + f" or {len(names) - NAMED} more" * (len(names) > NAMED)
        return f"{kind}, seed {seed}: {said}"

    def _waiting(self, kind: str) -> list[tuple[str, int]]:
        known = {(row.variant, row.seed) for row in self._of[kind]}
        lost = self._without_a_try() if kind == TUNED else set()
        return [
            (name, seed)
            for seed in range(self.plan["seeds"])
            for name in self.able
            if name not in lost and (name, seed) not in known
        ]

    def remaining(self, counts: Sequence[Count], spent_s: float) -> tuple[float | None, str | None]:
        """Wall-clock seconds left, or why they are not known.

        What has ended of a kind says how long the rest will take; of accuracies each variant for itself. What runs has
        been running since the last record, for ``spent_s``.
        """
        if any(count.left is None for count in counts):
            return None, "the plan, of an older version, does not say how many trials there are"
        left = {count.kind: count.left for count in counts if count.left}
        total, running = 0.0, None
        for phase in self._phases:
            for kind in (k for k in phase if k in left):
                measured = next((rows for k in (kind, *ALIKE.get(kind, ())) if (rows := self._measured(k))), None)
                if measured is None:
                    return None, f"no {kind.replace('_', ' ')} has ended yet"
                mean = statistics.fmean(row.seconds for row in measured)
                work = self._training_s(kind, left[kind] or 0, mean) if kind in {"accuracy", TUNED} else None
                work = (left[kind] or 0) * mean if work is None else work
                at_once = self._at_once(kind, measured)
                total += work / at_once
                running = mean if running is None else running
        return max(0.0, total - min(spent_s, running or 0.0)), None

    def _measured(self, kind: str) -> list[Row]:
        """One row for each trial that gave a result."""
        return list({row.session or row.id: row for row in self._of[kind] if row.ok}.values())

    def _training_s(self, kind: str, left: int, mean: float) -> float | None:
        """Seconds of ``left`` trials, by how long each waiting variant's others took."""
        took: dict[str, list[float]] = defaultdict(list)
        for row in self._of[kind]:
            if row.ok:
                took[row.variant].append(row.seconds)
        waiting = self._waiting(kind)
        if not waiting:
            return None
        means = {name: statistics.fmean(seconds) for name, seconds in took.items()}
        return left * statistics.fmean(means.get(name, mean) for name, _ in waiting)

    def _at_once(self, kind: str, measured: Sequence[Row]) -> float:
        """How many go side by side: as the plan says, of what is trained; else as the records show."""
        if kind in self._quantities and self._quantities[kind].exclusive:
            return 1.0
        jobs: int | None = self.plan.get("jobs")
        return float(jobs) if jobs and kind in ALIKE else overlap((row.started, row.ended) for row in measured)


def overlap(spans: Iterable[tuple[float, float]]) -> float:
    """How many spans of time lay side by side, on average over the time in which there was one; at least 1."""
    total = covered = 0.0
    until = -float("inf")
    for start, end in sorted(spans):
        total += end - start
        covered += max(0.0, end - max(start, until))
        until = max(until, end)
    return max(1.0, total / covered) if covered > 0 else 1.0
