"""What travels between the scheduler and a node that need not share a file system: modules and weights, as contents.

The scheduler alone writes into the results folder. The files that a trial reads from there travel with it, and the
file that it writes travels back with its result; on the node, both lie in a temporary folder.
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


def installed_version() -> str:
    """The version of the package and of its components, which the ids of records depend on."""
    components = ", ".join(f"{component} {version}" for component, version in VERSIONS.items())
    return f"vitbench {vitbench.__version__} ({components})"


@dataclass(frozen=True, kw_only=True)
class SchedulerInfo:
    """What a node must know about the scheduler."""

    threads: int  # of numerical libraries in every job
    directory: str  # the working directory, which relative paths start from
    folder: str | None = None  # where jobs find modules too: the folder of the ablation file
    modules: Mapping[str, bytes] = field(default_factory=dict)  # path → contents of the modules in that folder
    key: str = field(default_factory=lambda: uuid.uuid4().hex)  # tells two schedulers apart
    installed: str = field(default_factory=installed_version)  # the node must have the same

    @classmethod
    def of(cls, threads: int, folder: Path | None) -> SchedulerInfo:
        """The description of this process."""
        return cls(
            threads=threads,
            directory=str(Path.cwd()),
            folder=None if folder is None else str(folder.resolve()),
            modules={} if folder is None else modules_of(folder),
        )

    def set_up_node(self) -> Path | None:
        """Enters the working directory, if it exists here, and returns the folder of modules.

        This is the scheduler's own folder if it exists here with the same modules, so that a model finds the files
        beside its module; otherwise a copy of the modules alone.
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
    """Path → contents of the Python modules in a folder, and of those in its packages."""
    found = [*folder.glob("*.py")]
    for package in folder.glob("*/__init__.py"):
        found += package.parent.rglob("*.py")
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(found)}


def input_files(job: Job) -> Mapping[str, Path]:
    """The files in the results folder that a job reads: the weights of other trials, by role."""
    return job.payload.weights if isinstance(job.payload, Trial) else {}


def for_node(job: Job, contents: Sequence[bytes], folder: Path) -> Job:
    """The job with its input files written to ``folder``, and its output file there too."""
    trial = job.payload
    if not isinstance(trial, Trial):
        return job
    weights: dict[str, Path] = {}
    for (role, file), content in zip(trial.weights.items(), contents, strict=True):
        weights[role] = folder / f"{role}-{file.name}"
        weights[role].write_bytes(content)
    save_to = None if trial.save_to is None else folder / trial.save_to.name
    return dataclasses.replace(job, payload=dataclasses.replace(trial, weights=weights, save_to=save_to))


def output_files(job: Job, node_job: Job) -> dict[Path, bytes]:
    """The scheduler's path → contents of what a job wrote; ``node_job`` is the result of ``for_node``."""
    if not isinstance(job.payload, Trial) or job.payload.save_to is None or not node_job.payload.save_to.is_file():
        return {}
    return {job.payload.save_to: node_job.payload.save_to.read_bytes()}


def write_files(files: Mapping[Path, bytes]) -> None:
    """Writes the output files of a job, each whole or not at all."""
    for path, content in files.items():
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            unfinished.write_bytes(content)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
