"""What travels between the scheduler and a node that need not share a file system: modules and weights, as contents.

The scheduler alone writes into the results folder. What a trial reads from there goes with it, what it would leave
there comes back with its result; on the node both lie in a folder that is gone when the job has ended.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import vitbench
from vitbench.records.identity import VERSIONS
from vitbench.run.executors.job import Job
from vitbench.run.planning.trial import Trial


def what_is_installed() -> str:
    """The package, with the versions of its components: what the ids of records are made under."""
    components = ", ".join(f"{name} {version}" for name, version in VERSIONS.items())
    return f"vitbench {vitbench.__version__} ({components})"


@dataclass(frozen=True, kw_only=True)
class Home:
    """What a node must know of the scheduler.

    Attributes:
        threads: of numerical libraries in every job.
        directory: the scheduler's working directory; relative paths are meant from there.
        folder: where jobs find modules too, the ablation file's; None: nowhere.
        modules: path in that folder → contents, of every module and package in it.
        key: one home from another.
        installed: what must be on the node too.
    """

    threads: int
    directory: str
    folder: str | None = None
    modules: Mapping[str, bytes] = field(default_factory=dict)
    key: str = field(default_factory=lambda: uuid.uuid4().hex)
    installed: str = field(default_factory=what_is_installed)

    @classmethod
    def of(cls, threads: int, folder: Path | None) -> Home:
        """The home of jobs of this process."""
        where = None if folder is None else str(folder.resolve())
        return cls(
            threads=threads,
            directory=str(Path.cwd()),
            folder=where,
            modules={} if folder is None else modules_of(folder),
        )

    def settle(self) -> Path | None:
        """Goes to the working directory, if it exists here; returns the folder of modules.

        That is the scheduler's own one where it is here too and holds the same, so that a model finds what lies beside
        its module; else a copy of the modules alone.
        """
        if Path(self.directory).is_dir():
            os.chdir(self.directory)
        if self.folder is None:
            return None
        if (folder := Path(self.folder)).is_dir() and modules_of(folder) == self.modules:
            return folder
        copy = Path(tempfile.mkdtemp(prefix="vitbench-modules-"))
        for name, content in self.modules.items():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes(content)
        return copy


def modules_of(folder: Path) -> dict[str, bytes]:
    """Path → contents of the Python modules in a folder, and of those in packages in it."""
    found = [*folder.glob("*.py")]
    for package in folder.glob("*/__init__.py"):
        found += package.parent.rglob("*.py")
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(found)}


def read_by(job: Job) -> Mapping[str, Path]:
    """The files in the results folder that a job reads: by role, the weights of other trials."""
    return job.payload.weights if isinstance(job.payload, Trial) else {}


def unpacked(job: Job, contents: Sequence[bytes], place: Path) -> Job:
    """The job as it runs on the node: what it reads lies in ``place``, what it leaves will lie there."""
    trial = job.payload
    if not isinstance(trial, Trial):
        return job
    weights: dict[str, Path] = {}
    for (role, file), content in zip(trial.weights.items(), contents, strict=True):
        weights[role] = place / f"{role}-{file.name}"
        weights[role].write_bytes(content)
    left = None if trial.save_to is None else place / trial.save_to.name
    return dataclasses.replace(job, payload=dataclasses.replace(trial, weights=weights, save_to=left))


def left_by(job: Job, ran: Job) -> dict[Path, bytes]:
    """What the job left, as contents, by the scheduler's paths; ``ran`` is the job as ``unpacked`` made it."""
    if not isinstance(job.payload, Trial) or job.payload.save_to is None or not ran.payload.save_to.is_file():
        return {}
    return {job.payload.save_to: ran.payload.save_to.read_bytes()}


def put(files: Mapping[Path, bytes]) -> None:
    """Writes what a job left; a file is there whole, or not at all."""
    for path, content in files.items():
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            unfinished.write_bytes(content)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
