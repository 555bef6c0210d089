"""Reuses results of other results folders, so that nothing is measured twice. The other folders are only read.

Counts, memory readings and trainings are reused if they were measured under comparable conditions
(``records.comparability``). Timings belong to their session, and ceilings to their machine: these are never reused.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from vitbench.declare.families import family_of
from vitbench.declare.quantities import registered
from vitbench.declare.serialize import as_dict, from_dict
from vitbench.records.comparability import describe, mismatches
from vitbench.records.identity import SCHEMA, digest
from vitbench.records.reader import ARTIFACTS, RECORDS, file_digest, read_environments
from vitbench.records.record import DamagedError, Environment, Record
from vitbench.records.tuning_outcome import finished
from vitbench.run import environment
from vitbench.run.planning.plan import WEIGHTS, Plan, weights_of
from vitbench.run.planning.reuse import for_variant
from vitbench.run.planning.trial import Kind, Trial
from vitbench.run.store.lock import holder_of
from vitbench.run.store.writer import Writer
from vitbench.utils.errors import UserError

NOUNS: Mapping[Kind, tuple[str, str]] = {
    "cost": ("count", "counts"),
    "memory": ("memory reading", "memory readings"),
    "accuracy": ("training", "trainings"),
    "tuning": ("tuning try", "tuning tries"),
}
"""How the notes name what is reused: singular and plural. Other quantities are "measurements"."""

HEAD = re.compile(rb'\{"schema":(\d+),"id":"((?:[^"\\]|\\.)*)","ablation":"(?:[^"\\]|\\.)*","kind":"(\w+)",')
"""The beginning of a record's line."""

MOVED_ASIDE = re.compile(r"\.\d{8}T\d{12}$")
"""The ending that ``--fresh`` adds to a folder's name."""


class _NotReusableError(Exception):
    """A folder or record that cannot be reused; the message says why."""


@dataclass(frozen=True)
class _Folder:
    """An index of another results folder: the byte offset of each measurement by id, and the measured models."""

    path: Path
    offsets: Mapping[str, int]
    models: frozenset[Hashable]
    environments: Mapping[str, Mapping[str, Any]]

    def record(self, record_id: str) -> Record:
        with (self.path / RECORDS).open("rb") as file:
            file.seek(self.offsets[record_id])
            try:
                return Record.from_line(file.readline())
            except DamagedError as damage:
                raise _NotReusableError(f"the record {record_id} is {damage}") from None


class ResultCache:
    """The results folders in ``root`` beside ``directory``, the one of this run."""

    def __init__(self, plan: Plan, directory: Path, root: Path) -> None:
        """Indexes the folders; records are read when they are needed."""
        self._directory = directory
        self._environment = environment.environment(plan.preflight.torch, threads=plan.ablation.measure.threads)
        self._notes: list[str] = []
        self._seen: set[str] = set()
        self._reused: Counter[tuple[Path, Kind]] = Counter()
        self._refused: Counter[tuple[Path, Kind, str]] = Counter()
        others = sorted(path.parent for path in root.glob(f"*/{RECORDS}"))
        others = [path for path in others if path.resolve() != directory.resolve()]
        self._folders = [found for path in others if not MOVED_ASIDE.search(path.name) for found in self._open(path)]

    def find(self, plan: Plan, records: Iterable[Record]) -> Iterator[tuple[Path, list[Record]]]:
        """For each trial that another folder holds: that folder, and the records as they are written here."""
        models = {model for folder in self._folders for model in folder.models}
        measured = {v.name for v in plan.variants if v.model is not None and _model_key(v.model) in models}
        tuned = measured & finished({"tuning": plan.tuning}, records)  # their recipes are known
        for trial in plan.trials.of(*_reusable_kinds()) if measured else ():
            if trial.variants[0].name not in (tuned if trial.recipe == "tuned" else measured):
                continue
            if trial.only_id not in self._seen and (found := self._find(trial)):
                folder, record = found
                self._reused[folder.path, trial.kind] += 1
                record = dataclasses.replace(record, ablation=plan.name, source=record.source or folder.path.name)
                yield folder.path, [for_variant(record, trial, row) for row in trial.rows(trial.variants[0])]
            self._seen.add(trial.only_id)

    def models(self, plan: Plan) -> dict[str, Path]:
        """Trained models that this run needs and only another folder has: id → file."""
        found: dict[str, Path] = {}
        for needed in plan.needed:
            files = [weights_of(place, needed) for place in (self._directory, *(f.path for f in self._folders))]
            if not files[0].is_file() and any(path.is_file() for path in files) and (reusable := self._find(needed)):
                path = weights_of(reusable[0].path, needed)
                found |= {needed.only_id: path} if path.is_file() else {}
        return found

    def copy(self, folder: Path, record: Record, writer: Writer) -> None:
        """Copies the artifacts and the environment of a record that was found in the folder."""
        for name in record.artifacts:
            writer.save_copy(folder / ARTIFACTS / name, ARTIFACTS)
        bodies = next(f.environments for f in self._folders if f.path == folder)
        writer.add_environment(Environment(bodies[record.environment]))

    def notes(self) -> tuple[str, ...]:
        """What was reused from where, and what was not and why, in sentences."""
        reused: dict[Path, list[str]] = defaultdict(list)
        for (path, kind), number in self._reused.items():
            reused[path].append(_amount(number, kind))
        return (
            *self._notes,
            *(f"reused from {path}: {', '.join(amounts)}" for path, amounts in reused.items()),
            *(
                f"not reused from {path}, but measured again here: {_amount(number, kind)}, because {why}"
                for (path, kind, why), number in self._refused.items()
            ),
        )

    def _open(self, path: Path) -> Iterator[_Folder]:
        try:
            _check_free(path)
            offsets, models, torn = _index(path / RECORDS)
            environments = read_environments(path)
        except (_NotReusableError, UserError, OSError) as error:
            self._notes.append(f"nothing is reused from {path}: {error}")
            return
        if torn:
            self._notes.append(f"the last line of {path / RECORDS} was torn by a crash and is not reused")
        if offsets:
            yield _Folder(path, offsets, models, environments)

    def _find(self, trial: Trial) -> tuple[_Folder, Record] | None:
        """A reusable record of the trial, and its folder."""
        reasons = []
        for folder in [folder for folder in self._folders if trial.only_id in folder.offsets]:
            try:
                record = folder.record(trial.only_id)
                self._check(folder, record, trial)
            except (_NotReusableError, OSError) as error:
                reasons.append((folder.path, trial.kind, str(error)))
            else:
                return folder, record
        self._refused.update(reasons if trial.only_id not in self._seen else ())
        return None

    def _check(self, folder: _Folder, record: Record, trial: Trial) -> None:
        """Raises _NotReusableError if a record cannot be used here."""
        if record.id != trial.only_id or not record.ok or record.kind != trial.kind:
            raise _NotReusableError(f"{folder.path / RECORDS} changed while it was read")
        body = folder.environments.get(record.environment)
        if body is None or Environment(body).hash != record.environment:
            raise _NotReusableError(f"the description of its environment {record.environment} is missing or changed")
        own = self._environment
        here = dataclasses.replace(record, environment=own.hash)
        environments = {**folder.environments, own.hash: own.body}
        if found := mismatches(trial.quantity, record, here, environments, settings=False):
            raise _NotReusableError(describe(found))
        for name in record.artifacts:
            file = folder.path / ARTIFACTS / name
            if not file.is_file() or file_digest(file) != record.digests.get(name):
                raise _NotReusableError(f"the artifact {name} is missing or changed")


class Replan(Protocol):
    """Makes the plan again, from these records."""

    def __call__(self, *, records: Sequence[Record]) -> Plan: ...


def reuse_results(
    plan: Plan, replan: Replan, cache: ResultCache, records: Sequence[Record], writer: Writer | None = None
) -> Plan:
    """The plan of what is left to run after results of other folders are reused.

    With a writer, these are copied into this folder, files first; without one (a dry run) nothing is written.
    """
    while found := list(cache.find(plan, records)):
        if writer is not None:
            for folder, rows in found:
                cache.copy(folder, rows[0], writer)
            writer.append_many(row for _, rows in found for row in rows)
        records = writer.records if writer is not None else [*records, *(row for _, rows in found for row in rows)]
        plan = replan(records=records)
    models = cache.models(plan)
    if writer is None:
        plan = dataclasses.replace(plan, trials=plan.trials.without(models))
    elif models:
        for path in models.values():
            writer.save_copy(path, WEIGHTS)
        plan = replan(records=records)
    return dataclasses.replace(plan, reuse_notes=cache.notes())


def _check_free(path: Path) -> None:
    holder = holder_of(path)
    if holder is not None and holder.alive:
        raise _NotReusableError(f"process {holder.pid} is writing it")


def _index(path: Path) -> tuple[dict[str, int], frozenset[Hashable], bool]:
    """The offset of each measurement by id, the measured models, and whether the last line is torn.

    Only the beginning of each line is parsed.
    """
    offsets: dict[str, int] = {}
    configs: set[bytes] = set()
    offset = 0
    kinds = {kind.encode() for kind in _reusable_kinds()}
    torn = False
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            head = HEAD.match(line)
            if head is None or not line.endswith(b"\n"):
                if file.read(1):
                    raise _NotReusableError(f"line {number} of {path} is not a vitbench record")
                torn = True
                break
            if int(head[1]) > SCHEMA:
                raise _NotReusableError(
                    f"line {number} of {path} was written by a newer vitbench (schema {int(head[1])})"
                )
            if head[3] in kinds and b',"status":"ok",' in line:
                offsets[head[2].decode()] = offset
                configs.add(line[line.find(b',"config":') + 10 : line.find(b',"settings":')])
            offset += len(line)
    models = set()
    for text in configs:
        with contextlib.suppress(ValueError, TypeError, AttributeError):  # not a model of this version
            models.add(_model_key(from_dict(json.loads(text))))
    return offsets, frozenset(models), torn


def _model_key(model: Any) -> Hashable:
    """Equal for two models exactly if their parts of an id are equal."""
    return digest(as_dict(model)) if family_of(model).compare_as_json else model


def _amount(number: int, kind: Kind) -> str:
    return f"{number} {NOUNS.get(kind, (f'{kind} measurement', f'{kind} measurements'))[number != 1]}"


def _reusable_kinds() -> list[Kind]:
    return [quantity.kind for quantity in registered() if quantity.reusable]
