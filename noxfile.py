"""Sets up what each job needs, in an environment of its own, and runs it: ``nox -l`` lists the jobs."""

import nox

nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["tests", "lint", "types"]

CONSTRAINTS = ".ci/constraints.txt"
PROJECT = nox.project.load_toml("pyproject.toml")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

SMOKE = "knob or resnet18 or test_vit or deit_tiny or simple_vit or encoder2017"
"""Of parity, a model or more of every library: what the gate runs; all of it is the nightly check ``parity``."""

KEEP_MEMORY = {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=17179869184"}


def install(session: nox.Session, *groups: str) -> None:
    """Installs vitbench, editable, and dependency groups, all at the pinned versions (torch 2.13.0 above all).

    Nothing is compiled beforehand: of the thousands of files that torch brings, few are ever imported.
    """
    session.install("--no-compile", "-c", CONSTRAINTS, "-e", ".", *nox.project.dependency_groups(PROJECT, *groups))


@nox.session
def tests(session: nox.Session) -> None:
    """The quick tests, on two workers of one thread each; ``-- -m slow`` runs the slow ones, ``-- -k NAME`` picks."""
    install(session, "tests")
    picked = session.posargs or ["-m", "not slow"]
    session.run(
        "python", "-m", "pytest", "-n", "2", "--dist", "worksteal", "--benchmark-disable", *picked, env=ONE_THREAD
    )


@nox.session
def nightly(session: nox.Session) -> None:
    """The checks that take minutes, all or some (``-- kills ray``); results/nightly.json says what came out."""
    install_peers(session)
    session.run("python", "-m", "tests.support.nightly", *session.posargs,
                env=ONE_THREAD | {"VITBENCH_PEERS": "required"})  # fmt: skip


def install_peers(session: nox.Session) -> None:
    """The tests' environment, and beside it timm, torchvision, Hugging Face and vit-pytorch on the same torch."""
    install(session, "tests", "parity")
    session.install("--no-compile", "--no-deps", *nox.project.dependency_groups(PROJECT, "peers"))


@nox.session
def parity(session: nox.Session) -> None:
    """Our models against other people's: the same weights, the same logits and gradients; ``-- smoke``: some."""
    install_peers(session)
    options = ["-k", SMOKE] if session.posargs == ["smoke"] else session.posargs
    session.run("python", "-m", "pytest", "tests/parity", "-n", "2", "--dist", "worksteal", *options,
                env=ONE_THREAD | {"VITBENCH_PEERS": "required"})  # fmt: skip


@nox.session
def peers(session: nox.Session) -> None:
    """Times our models, and our training, beside other people's, interleaved: ``nox -s peers -- --budget 60``."""
    install_peers(session)
    for command in ("tests.parity.speed", "tests.parity.training_loop"):
        session.run("python", "-m", command, *session.posargs, env=ONE_THREAD | KEEP_MEMORY)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, format, and which package may import which."""
    session.install(*nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports")


@nox.session
def types(session: nox.Session) -> None:
    """Mypy, strict."""
    install(session, "types")
    session.run("mypy")


@nox.session
def bench(session: nox.Session) -> None:
    """Times the shipped models; saved under results/bench, compared by ``-- --benchmark-compare``; then ``peers``."""
    install(session, "tests")
    options = [
        "--benchmark-autosave",
        "--benchmark-storage=file://results/bench",
        "--benchmark-columns=median,iqr,rounds",
    ]
    shapes_unchecked = ["-o", "addopts=--import-mode=importlib"]  # the check would be timed too
    session.run("python", "-m", "pytest", "tests/bench", *shapes_unchecked, *options, *session.posargs, env=ONE_THREAD)
    session.notify("peers", posargs=[])


@nox.session
def believe(session: nox.Session) -> None:
    """Why believe these numbers: the usual ways of timing beside ours, on this machine, now; about ten minutes."""
    install(session, "tests")
    session.run("python", "-m", "vitbench.doctor")
    session.run("python", "-m", "tests.bench.rivals", *session.posargs, env=ONE_THREAD)


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
