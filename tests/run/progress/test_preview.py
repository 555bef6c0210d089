"""A dry run prints every row of a small plan, and an evenly spread sample of a large one."""

import dataclasses
import io
import itertools

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tests.run.planning.test_lazy_trials import TINY, planned
from vitbench.declare.ablation import Ablation
from vitbench.run.planning.macs import sampled_macs, spread
from vitbench.run.progress.preview import show


@given(count=st.integers(0, 400), most=st.integers(2, 100))
def test_spread(count, most):
    found = list(spread(count, most))
    assert found == sorted(set(found))
    assert len(found) == min(count, most)
    assert set(found) <= set(range(count))
    if count:
        assert (found[0], found[-1]) == (0, count - 1)
        gaps = [b - a for a, b in itertools.pairwise(found)]
        assert not gaps or max(gaps) - min(gaps) <= 1


def previewed(plan):
    screen = Console(file=io.StringIO(), width=100)
    show(plan, screen)
    return screen.file.getvalue()


def with_macs(ablation):
    plan = planned(ablation)
    return dataclasses.replace(plan, macs=sampled_macs(plan.variants, lambda _: {}), seconds=1.0)


def test_a_large_plan_shows_a_sample_of_its_rows():
    axes = {"depth": tuple(range(1, 101)), "num_heads": (1, 2, 3, 5, 7)}
    text = previewed(with_macs(Ablation(question="?", baseline=TINY, axes=axes, design="grid")))
    lines = text.splitlines()
    assert len(lines) < 60
    assert "… 40 of 500 rows are shown, evenly spread" in lines
    assert "… MACs were counted for 100 of 200 models, evenly spread; the time is for all" in lines
    assert "100 skipped: num_heads=3 does not divide embed_dim=16: it takes 1, 2, 4, 8, 16" in lines
    assert sum(line.startswith("depth=") for line in lines) == 39
    assert " 400 × accuracy" in lines


def test_a_small_plan_shows_every_row():
    text = previewed(with_macs(Ablation(question="?", baseline=TINY, axes={"num_heads": (1, 2, 3)})))
    assert "skipped: num_heads=3 does not divide embed_dim=16" in " ".join(text.split())
    assert "…" not in text
