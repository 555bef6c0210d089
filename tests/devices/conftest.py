import pytest

from tests.support.rapl import make_xeon


@pytest.fixture
def xeon(tmp_path):
    """The counter files of a machine with two packages, by name."""
    return make_xeon(tmp_path)
