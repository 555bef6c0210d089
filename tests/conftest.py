"""What all tests share: how many examples property tests draw, which tests run at night, and a fork server."""

import os
import shutil
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.examples import GATE, NIGHTLY
from tests.support.nightly import CHECKS, COLLECTED
from tests.support.tiny_training import FAULTY_MODELS

PARITY = Path(__file__).parent / "parity"

settings.register_profile("gate", deadline=None, max_examples=GATE, derandomize="CI" in os.environ)
settings.register_profile("nightly", deadline=None, max_examples=NIGHTLY)
settings.load_profile("gate")


def pytest_addoption(parser):
    names = ", ".join(CHECKS)
    parser.addoption("--nightly", metavar="NAME", choices=CHECKS, help=f"run the tests of this nightly check: {names}")


def pytest_configure(config):
    if config.getoption("--nightly"):
        settings.load_profile("nightly")


@pytest.hookimpl(trylast=True)  # Hypothesis marks its tests first
def pytest_collection_modifyitems(config, items):
    """Keeps the tests of the nightly check that was asked for; where none was, those of no check."""
    wanted, by_check = config.getoption("--nightly"), defaultdict(list)
    for item in items:
        by_check[check_of(item)].append(item)
        if item.get_closest_marker("hypothesis"):
            by_check["properties"].append(item)
        if item.path.is_relative_to(PARITY):
            by_check["parity"].append(item)
    config.stash[COLLECTED] = {check: [item.nodeid for item in found] for check, found in by_check.items()}
    kept = {*by_check[wanted]}
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = [item for item in items if item in kept]


def check_of(item):
    """The name of the nightly check that a test belongs to; None for a test of the gate."""
    marker = item.get_closest_marker("nightly")
    if marker is None:
        return None
    name = marker.args[0] if marker.args else None
    if name not in CHECKS:
        raise pytest.UsageError(f"{item.nodeid}: name a check of tests/support/nightly.py, not {name!r}")
    return name


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """One fork server for all tests of a worker; it can import the models that fail, and outlives the commands."""
    from vitbench.run.executors.local.executor import LocalExecutor

    class Shared(LocalExecutor):
        def close(self):
            self.cancel()

    place = tmp_path_factory.mktemp("models")
    shutil.copy(FAULTY_MODELS, place / "faults.py")
    executor = Shared(import_path=place)
    yield executor
    LocalExecutor.close(executor)


@pytest.fixture
def warm(shared, monkeypatch):
    """The commands that run in this process use it: to start one takes longer than all that they do."""
    monkeypatch.setattr("vitbench.run.executors.open_executor", lambda *_, **__: shared)
