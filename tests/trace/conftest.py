"""Models with known costs, importable by name from the working directory."""

import shutil
import sys
from pathlib import Path

import pytest


@pytest.fixture
def nets(tmp_path, monkeypatch):
    """The name of a module of models, in the working directory of the test."""
    shutil.copy(Path(__file__).with_name("nets.py"), tmp_path / "planted_nets.py")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield "planted_nets"
    sys.modules.pop("planted_nets", None)
