"""Sets up what each job needs, in an environment of its own, and runs it: ``nox -l`` lists the jobs."""

import nox

nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["tests", "lint", "types"]

CONSTRAINTS = ".ci/constraints.txt"
PROJECT = nox.project.load_toml("pyproject.toml")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def install(session: nox.Session, *groups: str) -> None:
    """Installs vitbench, editable, and dependency groups, all at the pinned versions (torch 2.13.0 above all)."""
    session.install("-c", CONSTRAINTS, "-e", ".", *nox.project.dependency_groups(PROJECT, *groups))


@nox.session
def tests(session: nox.Session) -> None:
    """All tests, on two workers of one thread each, and every benchmark once; ``nox -s tests -- -k NAME`` picks."""
    install(session, "tests")
    session.run("python", "-m", "pytest", "-n", "2", "--dist", "worksteal", "--benchmark-disable", *session.posargs,
                env=ONE_THREAD)  # fmt: skip


@nox.session
def lint(session: nox.Session) -> None:
    """Style and format."""
    session.install(*nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Mypy, strict."""
    install(session, "types")
    session.run("mypy")


@nox.session
def bench(session: nox.Session) -> None:
    """Times the shipped models; saved under results/bench, compared by ``-- --benchmark-compare``."""
    install(session, "tests")
    options = [
        "--benchmark-autosave",
        "--benchmark-storage=file://results/bench",
        "--benchmark-columns=median,iqr,rounds",
    ]
    shapes_unchecked = ["-o", "addopts=--import-mode=importlib"]  # the check would be timed too
    session.run("python", "-m", "pytest", "tests/bench", *shapes_unchecked, *options, *session.posargs, env=ONE_THREAD)


@nox.session
def ablate(session: nox.Session) -> None:
    """Runs an ablation: ``nox -s ablate -- pos_embed``."""
    install(session)
    session.run("python", "-m", "vitbench.ablate", *session.posargs)


@nox.session
def report(session: nox.Session) -> None:
    """Renders a report again from its records: ``nox -s report -- results/pos_embed``."""
    install(session)
    session.run("python", "-m", "vitbench.report", *session.posargs)
