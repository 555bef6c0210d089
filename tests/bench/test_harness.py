"""What vitbench itself takes: a record written, a folder read, a report rendered, a model counted. ``nox -s bench``."""

from pathlib import Path

import pytest

from vitbench import build, load, zoo
from vitbench.measure import count, memory
from vitbench.records.reader import read
from vitbench.report import write
from vitbench.run.store.writer import Writer

PUBLISHED = Path(__file__).parents[2] / "results" / "published" / "xeon-2core-vm" / "vit_vs_resnet"

pytestmark = pytest.mark.benchmark(group="harness")


def test_a_record_is_on_the_disk(benchmark, tmp_path):
    record = next(r for r in read(PUBLISHED) if r.kind == "latency")
    with Writer(tmp_path) as writer:
        benchmark(writer.append, record)


def test_a_folder_is_read_into_a_table(benchmark):
    benchmark(lambda: len(load(PUBLISHED)))


@pytest.mark.slow
def test_a_report_is_rendered(benchmark, tmp_path):
    import shutil

    folder = shutil.copytree(PUBLISHED, tmp_path / "r")
    benchmark.pedantic(write, args=(folder,), rounds=2)


def test_a_model_is_built(benchmark):
    benchmark(build, zoo("vit_tiny_patch16_224"))


@pytest.mark.slow
def test_a_model_is_counted_three_ways(benchmark):
    benchmark.pedantic(count, args=(zoo("vit_tiny_patch16_224"),), rounds=3)


@pytest.mark.slow
def test_a_training_steps_memory_is_modelled(benchmark):
    benchmark.pedantic(
        memory, args=(zoo("vit_tiny_patch16_224"),), kwargs={"batch_size": 8, "training": True}, rounds=3
    )
