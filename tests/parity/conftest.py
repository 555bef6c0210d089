"""Tests against other people's models, run by ``nox -s parity``; where these are missing, nothing is collected."""

import importlib.util
import os

from tests.parity.peers import PEERS, import_torchvision

missing = [name for name in PEERS if importlib.util.find_spec(name) is None]
if missing and os.environ.get("VITBENCH_PEERS") == "required":
    raise ModuleNotFoundError(f"nox -s parity did not install {', '.join(missing)}")
collect_ignore_glob = ["test_*.py"] if missing else []

if not missing:
    import_torchvision()


def pytest_report_header():
    return f"tests/parity is left out: it needs {', '.join(missing)}, see nox -s parity" if missing else None
