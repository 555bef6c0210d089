from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    """No test finds what another left, nor writes where the user keeps things."""
    monkeypatch.setenv("VITBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
