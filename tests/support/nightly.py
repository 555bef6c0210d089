"""The checks that are too long for every change: the sources that each is about, and the summary of its last run.

    python -m tests.support.nightly              # all of them, as `nox -s nightly` does
    python -m tests.support.nightly kills ray    # some

A test belongs to a check by ``@pytest.mark.nightly(NAME)``; pytest runs it only with ``--nightly NAME``. What came out
is merged into results/nightly.json, which is committed, with a digest of every source file that the check is about.
tests/test_nightly.py fails where such a file has changed since: nobody changes an estimator and forgets to run it.
"""

from __future__ import annotations

import ast
import hashlib
import io
import json
import subprocess
import sys
import tempfile
import time
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).parents[2]
SUMMARY = ROOT / "results" / "nightly.json"
COLLECTED = pytest.StashKey[dict[str, list[str]]]()
"""The names of the tests of each check that pytest has found."""


@dataclass(frozen=True)
class Check:
    """Patterns of the source files whose change asks for another run, and how pytest runs it."""

    sources: tuple[str, ...]
    options: tuple[str, ...] = ("-n", "2", "--dist", "worksteal")


CHECKS = {
    # whole timing sessions on a simulated clock, thousands of them; a hundred comparisons of a model with itself
    "timing": Check(
        (
            "vitbench/measure/timing/*.py",
            *(
                f"vitbench/stats/{name}.py"
                for name in ("estimates", "multiple_testing", "sequential", "timing_diagnostics", "verdicts")
            ),
            "vitbench/doctor/self_check.py",
        ),
        ("-n", "1"),
    ),
    # every shipped variant counted three ways, and the pages of docs against their commands
    "counts": Check(
        tuple(
            f"vitbench/{folder}/*.py"
            for folder in ("measure/counts", "measure/matching", "measure/peak_memory", "models/*")
        )
    ),
    # a whole training whose result is known beforehand
    "answers": Check(("vitbench/data/quadrant.py", "vitbench/models/**/*.py", "vitbench/train/*.py"), ("-n", "0")),
    # what processes of their own hold resident, and are refused
    "memory": Check(("vitbench/measure/peak_memory/*.py",)),
    # what torch.compile makes of a model and of a training step
    "compiled": Check(
        ("vitbench/measure/timing/compiled.py", "vitbench/models/compiler.py", "vitbench/train/step.py"),
    ),
    # ten thousand image files, and photographs that a training waits for
    "data": Check(("vitbench/data/*.py", "vitbench/train/batch_loader.py"), ("-n", "1")),
    # kill -9, Ctrl-C, full disks and crashes, at many moments
    "kills": Check(("vitbench/run/*.py", "vitbench/run/store/*.py", "vitbench/run/executors/**/*.py")),
    "ray": Check(("vitbench/run/executors/*.py", "vitbench/run/executors/ray/*.py"), ("-n", "0")),
    # reports and TensorBoard in a browser
    "browser": Check(("vitbench/report/templates/*", "vitbench/report/html.py")),
    # reports of many variants, many axes and many digits
    "reports": Check(("vitbench/report/*verify*.py", "vitbench/plots/*.py")),
    # results folders of many records, grids of many cells
    "scale": Check(("vitbench/records/*.py", "vitbench/tables/study.py", "vitbench/run/planning/*.py")),
    # our models against other people's, all of them
    "parity": Check(("vitbench/models/**/*.py",)),
    # every property test, with many examples: of all of the code, so that no change of it asks for another run
    "properties": Check(()),
}


def covered(check: Check) -> dict[str, str]:
    """The digest of each source file of a check, by its path from the root."""
    paths = sorted({path for pattern in check.sources for path in ROOT.glob(pattern)})
    return {path.relative_to(ROOT).as_posix(): digest(path) for path in paths}


def digest(path: Path) -> str:
    """Twelve hexadecimal digits for the code in a file."""
    source = path.read_text(encoding="utf-8")
    return hashlib.sha256((code_of(source) if path.suffix == ".py" else source).encode()).hexdigest()[:12]


def code_of(source: str) -> str:
    """Python source without comments, docstrings and blank lines."""
    lines = source.splitlines(keepends=True)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            line, column = token.start
            lines[line - 1] = lines[line - 1][:column]
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else ():
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                for number in range(statement.lineno, (statement.end_lineno or statement.lineno) + 1):
                    lines[number - 1] = ""
    return "\n".join(line.rstrip() for line in lines if line.strip())


def recorded() -> dict[str, Any]:
    """The summary: for each check that has run, its outcome and the sources that it was about."""
    found: dict[str, Any] = json.loads(SUMMARY.read_text(encoding="utf-8")) if SUMMARY.exists() else {}
    return found


def outdated(name: str, summary: dict[str, Any], tests: Sequence[str] = ()) -> str | None:
    """Why a check must run again, as one sentence with the command to type; None where its last run still counts."""
    remedy = f"type `nox -s nightly -- {name}` and commit {SUMMARY.relative_to(ROOT)}"
    if name not in summary:
        return f"the nightly check {name!r} has never run: {remedy}"
    last, now = summary[name], covered(CHECKS[name])
    changed = sorted(path for path in now.keys() | last["sources"].keys() if now.get(path) != last["sources"].get(path))
    if changed:
        return f"{', '.join(changed)} changed since the nightly check {name!r} ran on {last['date']}: {remedy}"
    if bad := [test for test, outcome in last["tests"].items() if outcome == "failed"]:
        return f"the nightly check {name!r} failed on {last['date']} ({', '.join(bad)}): mend it, then {remedy}"
    if new := [test for test in tests if test not in last["tests"]]:
        return f"the nightly check {name!r} has tests that it never ran ({', '.join(new)}): {remedy}"
    return None


def run(name: str) -> dict[str, Any]:
    """Runs a check; what the summary says of it."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "outcome.xml"
        command = [
            "-m",
            "pytest",
            f"--nightly={name}",
            *CHECKS[name].options,
            f"--junitxml={file}",
            "-ojunit_family=xunit1",
        ]
        subprocess.run([sys.executable, *command], cwd=ROOT, check=False)
        cases = ET.parse(file).iter("testcase") if file.exists() else ()
        tests = {f"{case.get('file')}::{case.get('name')}": _outcome(case) for case in cases}
    if "passed" not in tests.values():
        raise SystemExit(f"nothing of the nightly check {name!r} ran here; {SUMMARY.relative_to(ROOT)} stays as it was")
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "seconds": round(time.monotonic() - start),
        "sources": covered(CHECKS[name]),
        "tests": dict(sorted(tests.items())),
    }


def _outcome(case: ET.Element) -> str:
    kinds = {child.tag for child in case}
    return "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"


def main(names: Sequence[str]) -> int:
    """Runs the named checks, or all, and merges what came out into the summary; 1 where something failed."""
    if unknown := set(names) - CHECKS.keys():
        sys.stderr.write(f"there is no nightly check {', '.join(sorted(unknown))}: choose from {', '.join(CHECKS)}\n")
        return 2
    failed = False
    for name in names or CHECKS:
        found = run(name)
        failed |= "failed" in found["tests"].values()
        summary = dict(sorted({**recorded(), name: found}.items()))
        SUMMARY.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
