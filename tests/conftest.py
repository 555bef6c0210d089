"""What all tests share: property tests take the time they need, and CI draws the same examples each time."""

import os

import pytest
from hypothesis import settings

settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")


@pytest.fixture(scope="session")
def lent():
    """An executor that outlives the commands that are done with it."""
    from vitbench.run.executors.local.executor import LocalExecutor

    class Lent(LocalExecutor):
        def close(self):
            self.cancel()

    executor = Lent()
    yield executor
    LocalExecutor.close(executor)


@pytest.fixture
def warm(lent, monkeypatch):
    """One fork server for the commands that run in this process: to start it takes longer than all that they do."""
    monkeypatch.setattr("vitbench.run.executors.open_executor", lambda *_, **__: lent)
