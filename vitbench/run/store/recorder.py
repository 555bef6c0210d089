"""Turns the result of a trial, or its failure, into records on the disk."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vitbench.declare.variant import Variant
from vitbench.records.identity import now
from vitbench.records.reader import ARTIFACTS, file_digest
from vitbench.records.record import Record
from vitbench.run import environment
from vitbench.run.executors.job import Result
from vitbench.run.planning.plan import Plan, session_size
from vitbench.run.planning.reuse import for_variant, group_sessions
from vitbench.run.planning.trial import Trial
from vitbench.run.store.plan_record import plan_record, same_plan, skip_records
from vitbench.run.store.writer import Writer
from vitbench.utils.errors import UserError

if TYPE_CHECKING:
    from vitbench.run.measuring_functions import Measured


@dataclass
class Recorder:
    """Writes the records of one run."""

    plan: Plan
    writer: Writer
    timeout_s: float | None
    _common: dict[str, Any] = field(default_factory=dict)

    def open(self, command: str, summary: str, jobs: int | None = None) -> None:
        """Writes what precedes the first trial.

        These are the environment, the plan (unless the last one says the same), the impossible variants, and copies
        of records for variants that share a recorded measurement.
        """
        here = environment.environment(self.plan.preflight.torch, threads=self.plan.ablation.measure.threads)
        self._common = {
            "ablation": self.plan.name,
            "environment": self.writer.add_environment(here),
            "code": environment.code(),
        }
        common = {"started": now(), **self._common}
        conditions = environment.conditions()
        opening = plan_record(self.plan, command=command, summary=summary, conditions=conditions, jobs=jobs, **common)
        last = next((r for r in reversed(self.writer.records) if r.kind == "plan"), None)
        repeated = last is not None and same_plan(last, opening)
        skips = skip_records(self.plan, self.writer.records, **common)
        self.writer.append_many([*([] if repeated else [opening]), *skips])
        self.copy(self.plan.copies)

    def copy(self, copies: Iterable[Record]) -> None:
        """Writes copies of earlier records for variants that share the measurement."""
        if rows := group_sessions(copies):
            self.writer.append_many(self.writer.whole(record) for record in rows)

    def write(self, trial: Trial, result: Result) -> list[Record]:
        """The records of a trial that ended; they are on the disk when this returns."""
        if result.status != "ok":
            return self.failure(trial, trial.variants[0], result)
        variants = {v.name: v for v in trial.variants}
        measured: list[Measured] = result.value
        records = []
        for row in measured:
            variant = variants[row.variant]
            record_id = trial.id(variant, control=row.control)
            digests = self._saved(record_id, row.arrays)
            record = Record(
                id=record_id,
                kind=f"{trial.kind}_control" if row.control else trial.kind,
                variant="",
                values={**row.values, **_attempts(result)},
                samples=row.samples,
                session=trial.session,
                artifacts=list(digests),
                digests=digests,
                **self._about(trial, result),
            )
            rows = [variant] if row.control else trial.rows(variant)
            records += [for_variant(record, trial, other) for other in rows]
        if trial.alone:
            records = [_with_setting(r, session_size=session_size(trial)) for r in records]
        self.writer.append_many([r for r in records if not self._is_known(r)])
        return records

    def failure(self, trial: Trial, variant: Variant, result: Result) -> list[Record]:
        """The records that say why a variant, and those that share its measurement, could not be measured.

        Raises:
            UserError: the disk was full. That is no result: the same command measures the trial later.
        """
        if result.no_room:
            raise UserError(
                f"{trial.label}: {result.reason}; recorded results are kept: make room and run the same command again"
            )
        details = {"traceback": result.traceback, "output": result.output or None}
        record = Record(
            id=trial.failure_id(variant),
            kind=trial.kind,
            variant="",
            status=result.status,
            reason=result.reason,
            values={key: value for key, value in details.items() if value is not None} | _attempts(result),
            **self._about(trial, result),
        )
        records = [for_variant(record, trial, other) for other in trial.rows(variant)]
        if result.status == "timeout":
            records = [_with_setting(r, timeout_s=self.timeout_s) for r in records]
        self.writer.append_many(records)
        return records

    def _about(self, trial: Trial, result: Result) -> dict[str, Any]:
        """The fields that all records of a trial share."""
        about = {"seed": trial.seed, "started": result.started, "seconds": result.seconds, **self._common}
        if result.environment is not None:  # it ran on another machine than the scheduler
            about["environment"] = self.writer.add_environment(result.environment)
        return about

    def _saved(self, record_id: str, arrays: Mapping[str, Any]) -> dict[str, str]:
        """Saves the arrays and returns file → digest; a file that a record names already stays as it is."""
        known = next((r for r in self.writer.of(record_id) if r.ok and r.digests), None)
        if known is not None:
            return dict(known.digests)
        saved = [self.writer.save_arrays(record_id, arrays)] if arrays else []
        return {file: file_digest(self.writer.directory / ARTIFACTS / file) for file in saved}

    def _is_known(self, record: Record) -> bool:
        """Whether it is recorded already: a teacher was trained again only because its model file was lost."""
        if record.kind != "accuracy":
            return False
        recipe = record.settings["recipe"]
        return any(
            r.ok and r.variant == record.variant and r.settings.get("recipe", "same") == recipe
            for r in self.writer.of(record.id)
        )


def _attempts(result: Result) -> dict[str, Any]:
    """How often a trial was started whose worker was lost, and the reasons; empty if none was lost."""
    if not result.losses:
        return {}
    return {"attempts": len(result.losses) + (not result.lost), "lost": list(result.losses)}


def _with_setting(record: Record, **settings: Any) -> Record:
    return dataclasses.replace(record, settings={**record.settings, **settings})
