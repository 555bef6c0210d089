"""What other results folders hold of what a run is to measure: it is taken over, so that nothing is measured twice.

Only what stands for itself is: counts, memory and trainings, measured under what this machine measures under too
(``comparability``); never a timing, which is joint, nor a machine's ceilings. Other folders are only read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from vitbench.declare.external import ExternalConfig
from vitbench.declare.quantities import registered
from vitbench.declare.serialize import as_dict, from_dict
from vitbench.records.comparability import describe, mismatches
from vitbench.records.identity import SCHEMA, digest
from vitbench.records.reader import ARTIFACTS, RECORDS, file_digest, read_environments
from vitbench.records.record import DamagedError, Environment, Record
from vitbench.records.tuning_outcome import finished
from vitbench.run import environment
from vitbench.run.planning.plan import WEIGHTS, Plan, weights_of
from vitbench.run.planning.recorded import copied
from vitbench.run.planning.trial import Kind, Trial
from vitbench.run.store.lock_holder import holder_of
from vitbench.run.store.writer import Writer
from vitbench.utils.errors import UserError

WORDS = {
    "cost": ("count", "counts"),
    "memory": ("memory reading", "memory readings"),
    "accuracy": ("training", "trainings"),
    "tuning": ("tuning try", "tuning tries"),
}

HEAD = re.compile(rb'\{"schema":(\d+),"id":"((?:[^"\\]|\\.)*)","ablation":"(?:[^"\\]|\\.)*","kind":"(\w+)",')
"""How a record's line begins."""

MOVED_ASIDE = re.compile(r"\.\d{8}T\d{12}$")
"""The end of a folder's name that ``--fresh`` gave it."""


class _UnfitError(Exception):
    """A folder of which nothing can be taken over; the message says why."""


@dataclass(frozen=True)
class _Folder:
    """Another results folder: where its measurements stand, by id, and the models that they are of."""

    path: Path
    starts: Mapping[str, int]
    models: frozenset[Hashable]
    environments: Mapping[str, Mapping[str, Any]]

    def record(self, name: str) -> Record:
        """The measurement with this id."""
        with (self.path / RECORDS).open("rb") as file:
            file.seek(self.starts[name])
            try:
                return Record.from_line(file.readline())
            except DamagedError as damage:
                raise _UnfitError(f"the record {name} is {damage}") from None


class Shelf:
    """The results folders beside one's own.

    Args:
        plan: what is measured here, and under which versions.
        directory: one's own.
        parent: where the others lie.
    """

    def __init__(self, plan: Plan, directory: Path, parent: Path) -> None:
        """Finds what is there; records are read when they are asked for."""
        self._directory = directory
        self._environment = environment.environment(plan.survey.torch, threads=plan.ablation.measure.threads)
        self._unread: list[str] = []
        self._met: set[str] = set()
        self._taken: Counter[tuple[Path, Kind]] = Counter()
        self._refused: Counter[tuple[Path, Kind, str]] = Counter()
        others = sorted(path.parent for path in parent.glob(f"*/{RECORDS}"))
        others = [path for path in others if path.resolve() != directory.resolve()]
        self._folders = [found for path in others if not MOVED_ASIDE.search(path.name) for found in self._opened(path)]

    def take(self, plan: Plan, records: Iterable[Record]) -> Iterator[tuple[Path, list[Record]]]:
        """For each trial that is to be run and was run elsewhere: where, and its records as they stand here.

        Args:
            plan: what is to be run.
            records: that are here; a tuned accuracy is known once all tries are.
        """
        models = {model for folder in self._folders for model in folder.models}
        near = {v.name for v in plan.variants if v.model is not None and _content(v.model) in models}
        tuned = near & finished({"tuning": plan.tuning}, records)
        for trial in plan.trials.of(*_reusable()) if near else ():
            if trial.variants[0].name not in (tuned if trial.recipe == "tuned" else near):
                continue
            if trial.only_id not in self._met and (found := self._of(trial)):
                folder, record = found
                self._taken[folder.path, trial.kind] += 1
                record = dataclasses.replace(record, ablation=plan.name, source=record.source or folder.path.name)
                yield folder.path, [copied(record, trial, row) for row in trial.rows(trial.variants[0])]
            self._met.add(trial.only_id)

    def models(self, plan: Plan) -> dict[str, Path]:
        """Trained models that are needed and that lie elsewhere only: id → file."""
        found: dict[str, Path] = {}
        for needed in plan.needed:
            lies = [weights_of(place, needed) for place in (self._directory, *(f.path for f in self._folders))]
            if not lies[0].is_file() and any(path.is_file() for path in lies) and (held := self._of(needed)):
                path = weights_of(held[0].path, needed)
                found |= {needed.only_id: path} if path.is_file() else {}
        return found

    def environment(self, folder: Path, name: str) -> Environment:
        """That a record of the folder names."""
        return Environment(next(f.environments[name] for f in self._folders if f.path == folder))

    def sentences(self) -> list[str]:
        """What was taken over, and what was not, and why."""
        taken: dict[Path, list[str]] = {}
        for (path, kind), number in self._taken.items():
            taken.setdefault(path, []).append(_amount(number, kind))
        found = [*self._unread, *(f"taken over from {path}: {', '.join(all_)}" for path, all_ in taken.items())]
        refused = self._refused.items()
        again = "measured here again"
        return found + [
            f"not taken over from {p}, but {again}: {_amount(n, k)}, since {why}" for (p, k, why), n in refused
        ]

    def _opened(self, path: Path) -> Iterator[_Folder]:
        try:
            _check_free(path)
            starts, models, torn = _indexed(path / RECORDS)
            environments = read_environments(path)
        except (_UnfitError, UserError, OSError) as error:
            self._unread.append(f"nothing is taken over from {path}: {error}")
            return
        if torn:
            self._unread.append(f"the last line of {path / RECORDS} was torn by a crash, and is not taken over")
        if starts:
            yield _Folder(path, starts, models, environments)

    def _of(self, trial: Trial) -> tuple[_Folder, Record] | None:
        """A fit record of what the trial measures, and whose it is."""
        reasons = []
        for folder in [folder for folder in self._folders if trial.only_id in folder.starts]:
            try:
                record = folder.record(trial.only_id)
                self._check(folder, record, trial)
            except (_UnfitError, OSError) as error:
                reasons.append((folder.path, trial.kind, str(error)))
            else:
                return folder, record
        self._refused.update(reasons if trial.only_id not in self._met else ())
        return None

    def _check(self, folder: _Folder, record: Record, trial: Trial) -> None:
        """Raises _UnfitError where a record cannot stand here."""
        if record.id != trial.only_id or not record.ok or record.kind != trial.kind:
            raise _UnfitError(f"{folder.path / RECORDS} was changed meanwhile")
        body = folder.environments.get(record.environment)
        if body is None or Environment(body).hash != record.environment:
            raise _UnfitError(f"its environment {record.environment} is not described there as it was")
        own = self._environment
        here = dataclasses.replace(record, environment=own.hash)
        environments = {**folder.environments, own.hash: own.body}
        found = mismatches(trial.quantity, record, here, environments, settings=False)
        if found:
            raise _UnfitError(describe(found))
        for name in record.artifacts:
            file = folder.path / ARTIFACTS / name
            if not file.is_file() or file_digest(file) != record.digests.get(name):
                raise _UnfitError("an artifact is missing, or not what was written")


class Replan(Protocol):
    """The plan anew, from these records."""

    def __call__(self, *, records: Sequence[Record]) -> Plan: ...


def take_over(plan: Plan, replan: Replan, shelf: Shelf, writer: Writer) -> Plan:
    """The plan of what is left once what the shelf holds stands in this folder too, files first."""
    while found := list(shelf.take(plan, writer.records)):
        for folder, records in found:
            for name in records[0].artifacts:
                writer.save_copy(folder / ARTIFACTS / name, ARTIFACTS)
            writer.add_environment(shelf.environment(folder, records[0].environment))
        writer.append_many(record for _, records in found for record in records)
        plan = replan(records=writer.records)
    if models := shelf.models(plan):
        for path in models.values():
            writer.save_copy(path, WEIGHTS)
        plan = replan(records=writer.records)
    return dataclasses.replace(plan, taken=tuple(shelf.sentences()))


def would_take_over(plan: Plan, replan: Replan, shelf: Shelf, records: Sequence[Record]) -> Plan:
    """The same plan, and nothing is written."""
    while found := list(shelf.take(plan, records)):
        records = [*records, *(record for _, taken in found for record in taken)]
        plan = replan(records=records)
    trials = plan.trials.without(shelf.models(plan))
    return dataclasses.replace(plan, trials=trials, taken=tuple(shelf.sentences()))


def _check_free(path: Path) -> None:
    holder = holder_of(path)
    if holder is not None and holder.alive:
        raise _UnfitError(f"process {holder.pid} is writing it")


def _indexed(path: Path) -> tuple[dict[str, int], frozenset[Hashable], bool]:
    """Where each measurement begins, by id; the models; and whether the last line is torn. Only heads are looked at."""
    starts: dict[str, int] = {}
    configs: set[bytes] = set()
    at = 0
    kinds = {kind.encode() for kind in _reusable()}
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            head = HEAD.match(line)
            if head is None or not line.endswith(b"\n"):
                if not file.read(1):
                    return starts, _models(configs), True
                raise _UnfitError(f"line {number} of {path} is no record of vitbench")
            if int(head[1]) > SCHEMA:
                raise _UnfitError(f"line {number} of {path} is of a newer vitbench (schema {int(head[1])})")
            if head[3] in kinds and b',"status":"ok",' in line:
                starts[head[2].decode()] = at
                configs.add(line[line.find(b',"config":') + 10 : line.find(b',"settings":')])
            at += len(line)
    return starts, _models(configs), False


def _models(configs: Iterable[bytes]) -> frozenset[Hashable]:
    """The models that these texts describe; what is no model of today's is none that is asked for."""
    found = set()
    for text in configs:
        with contextlib.suppress(ValueError, TypeError, AttributeError):
            found.add(_content(from_dict(json.loads(text))))
    return frozenset(found)


def _content(model: Any) -> Hashable:
    """What is equal exactly if the models' parts of an id are."""
    return digest(as_dict(model)) if isinstance(model, ExternalConfig) else model


def _amount(number: int, kind: Kind) -> str:
    return f"{number} {WORDS.get(kind, (f'{kind} measurement', f'{kind} measurements'))[number != 1]}"


def _reusable() -> list[Kind]:
    """Kinds that are taken over: what depends on no other variant and no machine."""
    return [quantity.kind for quantity in registered() if quantity.reusable]
