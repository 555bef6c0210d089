"""Facts of the host that the kernel publishes in files, and its memory."""

import psutil

from vitbench.devices.host_files import read_text
from vitbench.devices.host_memory import free_memory, last_level_cache


def test_the_largest_cache_of_a_made_core(tmp_path):
    assert last_level_cache(tmp_path) is None
    for index, text in enumerate(("48K", "2048K", "480M")):
        (tmp_path / f"index{index}").mkdir()
        (tmp_path / f"index{index}" / "size").write_text(text + "\n")
    assert last_level_cache(tmp_path) == 480 * 2**20


def test_free_memory_is_less_than_all():
    assert 0 < free_memory() < psutil.virtual_memory().total


def test_a_file_that_is_missing_or_empty_is_none(tmp_path):
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "some").write_text(" a\nb \n")
    assert [read_text(tmp_path / name) for name in ("none", "empty", "some")] == [None, None, "a\nb"]
