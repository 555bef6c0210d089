"""From what a job gave, or why it gave nothing, to records on the disk."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vitbench.declare.serialize import as_dict
from vitbench.declare.variant import Variant
from vitbench.records.identity import now
from vitbench.records.reader import ARTIFACTS, file_digest
from vitbench.records.record import Record
from vitbench.run import environment
from vitbench.run.executors.job import Result
from vitbench.run.planning.plan import Plan, session_size
from vitbench.run.planning.recorded import batched
from vitbench.run.planning.trial import Trial
from vitbench.run.store.plan_record import plan_record, skip_records
from vitbench.run.store.writer import Writer
from vitbench.utils.errors import UserError

if TYPE_CHECKING:
    from vitbench.run.jobs import Measured


@dataclass
class Recorder:
    """Writes the records of one run."""

    plan: Plan
    writer: Writer
    timeout_s: float | None
    _common: dict[str, Any] = field(default_factory=dict)

    def open(self, command: str, summary: str, jobs: int | None = None) -> None:
        """Writes what stands before the first trial.

        That is the environment, the plan (unless the last one says the same), the skipped cells, and what is recorded
        already and is true of other variants too.
        """
        machine = environment.environment(self.plan.survey.torch, threads=self.plan.ablation.measure.threads)
        self._common = {
            "ablation": self.plan.name,
            "environment": self.writer.add_environment(machine),
            "code": environment.code(),
        }
        conditions = environment.conditions()
        opening = plan_record(
            self.plan,
            command=command,
            summary=summary,
            conditions=conditions,
            jobs=jobs,
            started=now(),
            **self._common,
        )
        last = next((r for r in reversed(self.writer.records) if r.kind == "plan"), None)
        skips = skip_records(self.plan, self.writer.records, started=now(), **self._common)
        same = last is not None and _told(last) == _told(opening)
        self.writer.append_many([*([] if same else [opening]), *skips])
        self.copy(self.plan.copies)

    def copy(self, copies: tuple[Record, ...] | list[Record]) -> None:
        """Writes records of earlier measurements for the other variants of which they are true."""
        if copies:
            self.writer.append_many(self.writer.whole(record) for record in batched(copies))

    def write(self, trial: Trial, result: Result) -> list[Record]:
        """The records of a trial that ended; on the disk when this returns."""
        if result.status != "ok":
            return self.failure(trial, trial.variants[0], result)
        variants = {v.name: v for v in trial.variants}
        measured: list[Measured] = result.value
        records = []
        for row in measured:
            variant = variants[row.variant]
            name = trial.id(variant, control=row.control)
            digests = self._saved(name, row.arrays)
            record = Record(
                id=name,
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
            records += [self._of(trial, record, other) for other in rows]
        if trial.alone:
            records = [_with_setting(r, session_size=session_size(trial)) for r in records]
        self.writer.append_many([r for r in records if not self._is_known(r)])
        return records

    def failure(self, trial: Trial, variant: Variant, result: Result) -> list[Record]:
        """The records that say why a variant, and those who share its measurement, could not be measured.

        Raises:
            UserError: that was for want of room on a disk, which is no result: the same command measures it later.
        """
        if result.no_room:
            raise UserError(f"{trial.label}: {result.reason}; what was recorded is kept: make room, and type it again")
        told = {"traceback": result.traceback, "output": result.output or None}
        record = Record(
            id=trial.failure_id(variant),
            kind=trial.kind,
            variant="",
            status=result.status,
            reason=result.reason,
            values={key: value for key, value in told.items() if value is not None} | _attempts(result),
            **self._about(trial, result),
        )
        records = [self._of(trial, record, other) for other in trial.rows(variant)]
        if result.status == "timeout":
            records = [_with_setting(r, timeout_s=self.timeout_s) for r in records]
        self.writer.append_many(records)
        return records

    def _about(self, trial: Trial, result: Result) -> dict[str, Any]:
        """What every record says of its trial."""
        about = {"seed": trial.seed, "started": result.started, "seconds": result.seconds, **self._common}
        if result.environment is not None:  # of the machine that ran it; in common they have the scheduler's
            about["environment"] = self.writer.add_environment(result.environment)
        return about

    def _of(self, trial: Trial, record: Record, variant: Variant) -> Record:
        return dataclasses.replace(
            record,
            variant=variant.name,
            axes=dict(variant.axes),
            config=None if variant.model is None else as_dict(variant.model),
            settings=trial.about(variant),
        )

    def _saved(self, name: str, arrays: Mapping[str, Any]) -> dict[str, str]:
        """Writes a measurement's arrays and returns file → digest; a file that a record names stays as it is."""
        known = next((r for r in self.writer.of(name) if r.ok and r.digests), None)
        if known is not None:
            return dict(known.digests)
        saved = [self.writer.save_arrays(name, arrays)] if arrays else []
        return {file: file_digest(self.writer.directory / ARTIFACTS / file) for file in saved}

    def _is_known(self, record: Record) -> bool:
        """Whether it stands there already: a model was trained again only because it teaches, and its file was gone."""
        if record.kind != "accuracy":
            return False
        recipe = record.settings["recipe"]
        return any(
            r.ok and r.variant == record.variant and r.settings.get("recipe", "same") == recipe
            for r in self.writer.of(record.id)
        )


def _told(plan: Record) -> tuple[Any, ...]:
    """What makes a plan another one: its id covers neither how many trials there are nor how many go side by side."""
    return plan.id, plan.values.get("trials"), plan.values.get("jobs")


def _attempts(result: Result) -> dict[str, Any]:
    """How often a trial was run whose worker was lost, and why each time; nothing where none was."""
    if not result.losses:
        return {}
    return {"attempts": len(result.losses) + (not result.lost), "lost": list(result.losses)}


def _with_setting(record: Record, **settings: Any) -> Record:
    return dataclasses.replace(record, settings={**record.settings, **settings})
