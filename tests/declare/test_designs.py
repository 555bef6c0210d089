"""Designs: how many rows, which, each once; samples of a grid are uniform, and larger ones hold the smaller."""

import itertools
import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from vitbench.ablate import Options, design_from
from vitbench.declare.ablation import Ablation
from vitbench.declare.claim import Claim
from vitbench.declare.designs import cells, shuffled
from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.train import TrainConfig
from vitbench.declare.vit import ViTConfig
from vitbench.utils.errors import ConfigError

BASE = ViTConfig(img_size=8, patch_size=2, in_chans=1, num_classes=10, embed_dim=48, depth=4, num_heads=4)
FULL = TrainConfig(mixup=0.2, label_smoothing=0.1, ema=0.98)
PARTS = {"train.mixup": (0.2, 0.0), "train.label_smoothing": (0.0,), "qkv_bias": (True, False)}


def ablation(**changes):
    return Ablation(**{"question": "Why?", "baseline": BASE, **changes})


def names(a):
    return [variant.name for variant in a.variants()]


axes_of_numbers = st.dictionaries(
    st.sampled_from("abcd"), st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True).map(tuple), min_size=1
)


@given(axes=axes_of_numbers, data=st.data())
def test_a_grid_is_every_combination_once(axes, data):
    base = {axis: data.draw(st.integers(0, 9)) for axis in axes}
    found = [tuple(cell.values()) for cell in cells("grid", base, axes)]
    every = set(itertools.product(*axes.values()))
    assert found[0] == tuple(base.values())
    assert len(found) == len(set(found)) == len(every | {found[0]})
    assert set(found) == every | {found[0]}


@given(axes=axes_of_numbers, data=st.data())
def test_one_at_a_time_differs_in_one_axis(axes, data):
    base = {axis: data.draw(st.integers(0, 9)) for axis in axes}
    first, *rows = cells("one_at_a_time", base, axes)
    assert first == base
    assert [sum(row[axis] != base[axis] for axis in axes) for row in rows] == [1] * len(rows)
    assert len(rows) == sum(value != base[axis] for axis, values in axes.items() for value in values)


@pytest.mark.parametrize("design", ["leave_one_out", "add_one_in"])
@given(count=st.integers(0, 6))
def test_both_ends_and_each_part_between(design, count):
    """Of n parts: the baseline, n rows that differ in one, and one that differs in all."""
    axes = {f"part{i}": (True, False) for i in range(count)}
    first, *rows = cells(design, dict.fromkeys(axes, True), axes)
    assert all(first.values())
    switched = [sum(not value for value in row.values()) for row in rows]
    assert switched == [1] * count + [count] * (count > 1)
    assert len({tuple(row.values()) for row in rows}) == len(rows)


def test_leaving_out_starts_from_the_full_recipe():
    a = ablation(train=FULL, axes=PARTS, design="leave_one_out")
    last = "train.mixup=0,train.label_smoothing=0,qkv_bias=False"
    assert names(a) == ["baseline", "train.mixup=0", "train.label_smoothing=0", "qkv_bias=False", last]
    full, without_mixup, *_, bare = a.variants()
    assert (full.train, full.model) == (FULL, BASE)
    assert (without_mixup.train.mixup, without_mixup.train.label_smoothing) == (0.0, 0.1)
    assert (bare.train.mixup, bare.train.label_smoothing, bare.train.ema, bare.model.qkv_bias) == (0, 0, 0.98, False)
    claim = Claim("mixup helps", metric="accuracy", better="baseline", than="train.mixup=0", source="s")
    both = Claim("all of it helps", metric="accuracy", better="baseline", than=last, source="s")
    claimed = ablation(train=FULL, axes=PARTS, design="leave_one_out", claims=(claim, both))
    assert claimed.variant(last).name == last
    assert claimed.variant("qkv_bias=True").is_baseline


def test_putting_in_starts_from_the_bare_recipe():
    a = ablation(axes={"train.mixup": (0.2,), "train.ema": (0.98,)}, design="add_one_in")
    assert names(a) == ["baseline", "train.mixup=0.2", "train.ema=0.98", "train.mixup=0.2,train.ema=0.98"]


def test_a_part_that_the_recipe_does_not_have_has_no_row():
    a = ablation(train=TrainConfig(mixup=0.0), axes={"train.mixup": (0.0,), "depth": (2,)}, design="leave_one_out")
    assert names(a) == ["baseline", "depth=2"]


def test_a_part_has_one_other_value():
    with pytest.raises(ConfigError, match=r"besides the baseline's 4, and axis 'depth' has 2, 8: keep one of them"):
        ablation(axes={"depth": (2, 4, 8)}, design="leave_one_out")


def test_references_meet_the_training_settings_that_the_rows_meet():
    axes = {"train.lr": (1e-3, 2e-3), "train.mixup": (0.0, 0.2), "depth": (2, 4)}
    cnn = {"cnn": ResNetConfig(depth=18)}
    for design, sample in (("grid", None), ("leave_one_out", None), ("random", 3)):
        rows = ablation(axes=axes, references=cnn, design=design, sample=sample).variants()
        met = [
            {(v.axes["train.lr"], v.axes["train.mixup"]) for v in rows if v.is_reference is r} for r in (True, False)
        ]
        assert met[0] == met[1]
        assert len([v for v in rows if v.is_reference]) == len(met[0])


@given(count=st.integers(0, 300), seed=st.integers(0, 10))
def test_a_shuffle_has_every_number_once(count, seed):
    assert sorted(shuffled(count, seed)) == list(range(count))


def test_shuffles_are_uniform():
    """Every order of four is as frequent as any other; so is every place of a number among more."""
    orders = Counter(tuple(shuffled(4, seed)) for seed in range(4800))
    assert len(orders) == math.factorial(4)
    assert chisquare(list(orders.values())).pvalue > 1e-4
    firsts = Counter(next(shuffled(30, seed)) for seed in range(6000))
    assert chisquare([firsts[i] for i in range(30)]).pvalue > 1e-4


def test_a_sample_of_a_grid_is_uniform():
    """Each cell but the baseline, which is always there, is drawn equally often."""
    axes, base = {"a": (0, 1, 2), "b": (0, 1, 2, 3)}, {"a": 1, "b": 2}
    drawn = [tuple(c.values()) for seed in range(2200) for c in cells("random", base, axes, sample=5, seed=seed)]
    counts = Counter(drawn)
    assert counts.pop((1, 2)) == 2200
    assert len(counts) == 11
    assert chisquare(list(counts.values())).pvalue > 1e-4
    pairs = Counter(
        frozenset(
            tuple(c.values()) for c in itertools.islice(cells("random", base, axes, sample=3, seed=seed), 1, None)
        )
        for seed in range(5500)
    )
    assert len(pairs) == 55
    assert chisquare(list(pairs.values())).pvalue > 1e-4


@given(axes=axes_of_numbers, seed=st.integers(0, 5), sizes=st.tuples(st.integers(2, 40), st.integers(2, 40)))
def test_a_larger_sample_begins_with_the_smaller(axes, seed, sizes):
    base = {axis: values[0] for axis, values in axes.items()}
    fewer, more = (list(cells("random", base, axes, sample=size, seed=seed)) for size in sorted(sizes))
    assert more[: len(fewer)] == fewer
    total = math.prod(map(len, axes.values()))
    assert len(more) == min(max(sizes), total)
    grid = list(cells("grid", base, axes))
    assert all(cell in grid for cell in more)
    assert len({tuple(cell.values()) for cell in more}) == len(more)


def test_the_same_seed_always_draws_the_same_cells():
    """For good: a results folder that is gone on with tomorrow, by another Python, holds the same rows."""
    assert list(itertools.islice(shuffled(10**12, 0), 3)) == [
        437_729_658_316,
        964_931_521_341,
        17_658_820_412,
    ]


def test_a_grid_of_a_billion_billion_cells_is_sampled_at_once():
    axes = {f"train.{name}": tuple(0.001 * i for i in range(1, 1001)) for name in ("lr", "weight_decay", "mixup")}
    axes |= {"mlp_ratio": tuple(0.5 + 0.01 * i for i in range(1000)), "depth": tuple(range(1, 1001))}
    a = ablation(axes=axes, design="random", sample=50)  # to look at a thousandth of them would take hours
    assert len(a.variants()) == 50
    assert names(a)[0] == "baseline"
    assert names(ablation(axes=axes, design="random", sample=20)) == names(a)[:20]
    with pytest.raises(ConfigError, match=r"1,000,000,000,000,000 cells, more than 1,000,000: draw some"):
        ablation(axes=axes, design="grid")


def test_impossible_cells_of_a_sample_are_skipped_with_their_reason():
    axes = {"num_heads": (1, 2, 3, 4, 5, 7), "embed_dim": (48, 50, 56)}
    grid = {v.name: v.reason for v in ablation(axes=axes, design="grid").variants()}
    rows = ablation(axes=axes, design="random", sample=12, sample_seed=3).variants()
    assert len(rows) == 12
    assert {v.name: v.reason for v in rows}.items() <= grid.items()
    assert any(v.reason for v in rows)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"design": "random"}, "write sample=100, or type --sample 100"),
        ({"design": "grid", "sample": 5}, "sample=5 belongs to design='random'"),
        ({"design": "random", "sample": 1}, "it takes 2 or more"),
        ({"design": "leave_one_uot"}, "did you mean 'leave_one_out'"),
    ],
)
def test_a_mistake_is_named(changes, words):
    with pytest.raises(ConfigError) as caught:
        ablation(axes={"depth": (2, 4)}, **changes)
    assert words in str(caught.value)


def test_the_command_line_chooses_the_rows():
    axes = {"depth": (2, 3, 4), "mlp_ratio": (1.0, 2.0, 4.0)}
    ratio = Claim("c", metric="accuracy", better="mlp_ratio=1,depth=4", than="mlp_ratio=2", source="s")
    depth = Claim("c", metric="macs", along="depth", exponent=(0, 1), source="s")
    declared = ablation(axes=axes, claims=(ratio, depth))

    def asked(**options):
        return design_from(Options(name="x", **options), declared)

    assert asked() is declared
    assert (len(asked(design="grid").variants()), asked(design="grid").claims) == (9, (ratio, depth))
    four = asked(sample=4)
    assert (four.design, len(four.variants())) == ("random", 4)
    assert depth in four.claims
    assert ratio not in asked(sample=2).claims  # of two rows they are not both there
    for options, words in (
        ({"design": "random"}, "--sample 100"),
        ({"design": "grid", "sample": 3}, "sample=3 belongs"),
    ):
        with pytest.raises(ConfigError, match=words):
            asked(**options)
