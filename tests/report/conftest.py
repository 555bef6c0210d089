"""The report that several tests read: twelve variants of two families, written once."""

import pytest

from tests.support.made_records import vit_vs_resnet
from vitbench import report


@pytest.fixture(scope="session")
def twelve(tmp_path_factory):
    """Its folder."""
    folder = tmp_path_factory.mktemp("twelve")
    vit_vs_resnet(folder)
    report.write(folder)
    return folder


@pytest.fixture(scope="session")
def page(twelve):
    return (twelve / "report.html").read_text(encoding="utf-8")
