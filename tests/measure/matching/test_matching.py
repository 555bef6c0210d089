"""Matched cost, beside a search through every size there is, and on a machine whose speeds are known."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vitbench
from vitbench.declare.external import ExternalConfig
from vitbench.declare.measure import MeasureConfig
from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.vit import ViTConfig
from vitbench.declare.zoo import zoo
from vitbench.measure import count, memory
from vitbench.measure.counts.closed_form import closed_form
from vitbench.measure.matching import equal_cost, equal_latency, size_candidates
from vitbench.measure.matching.equal_cost import match
from vitbench.measure.matching.equal_latency import Paired, pair_by_latency
from vitbench.measure.matching.size_search import Search
from vitbench.measure.meta_copy import module_of
from vitbench.models import size_candidates as sizes
from vitbench.models.resnet.size_candidates import distribute_blocks
from vitbench.utils.errors import UserError

VIT = ViTConfig(img_size=8, patch_size=4, in_chans=1, num_classes=10, embed_dim=16, depth=2, num_heads=2)
RESNET = ResNetConfig(depth=None, layers=(1, 2), block="basic", width=4, stem="cifar", img_size=8, num_classes=10)


@pytest.fixture
def short(monkeypatch):
    """So few sizes that all can be tried."""
    monkeypatch.setattr(sizes, "WIDEST", 3)
    monkeypatch.setattr(sizes, "DEEPEST", 2)
    monkeypatch.setattr(sizes, "FEWEST_DEPTHS", 4)


def every(config, vary):
    """Each config of the grid, written down here once more."""
    if isinstance(config, ViTConfig):
        widths = range(config.num_heads, 3 * config.embed_dim + 1, config.num_heads)
        depths = range(1, max(2 * config.depth, 4) + 1)
        grid = {
            "embed_dim": [{"embed_dim": width} for width in widths],
            "num_heads": [
                {"num_heads": n, "embed_dim": n * config.head_dim} for n in range(1, 3 * config.num_heads + 1)
            ],
            "depth": [{"depth": depth} for depth in depths],
        }
    else:
        block, own = config.stages
        totals = range(len(own), max(2 * sum(own), 4) + 1)
        grid = {
            "width": [{"width": width} for width in range(1, 3 * config.width + 1)],
            "layers": [{"depth": None, "layers": distribute_blocks(own, n), "block": block} for n in totals],
        }
    for choice in itertools.product(*(grid[name] for name in vary)):
        fields = {name: value for part in choice for name, value in part.items()}
        try:
            yield dataclasses.replace(config, **fields)
        except UserError:
            continue


def macs(config):
    return closed_form(config).macs


def params(config):
    return sum(parameter.numel() for parameter in module_of(config).parameters())


vits = st.builds(
    ViTConfig,
    img_size=st.just(8),
    patch_size=st.sampled_from([2, 4]),
    in_chans=st.just(1),
    num_classes=st.just(3),
    embed_dim=st.sampled_from([8, 16, 24]),
    depth=st.integers(1, 3),
    num_heads=st.sampled_from([1, 2]),
    mlp_ratio=st.sampled_from([0.7, 2.0, 4.0]),
    mlp=st.sampled_from(["mlp", "swiglu"]),
    pos_embed=st.sampled_from(["none", "learned", "sincos2d", "rope", "relative"]),
    pos_embed_at=st.sampled_from(["stem", "every_layer"]),
    layer_scale=st.sampled_from([None, 1e-5]),
    qk_norm=st.booleans(),
)
resnets = st.builds(
    ResNetConfig,
    depth=st.none(),
    layers=st.lists(st.integers(1, 2), min_size=1, max_size=3).map(tuple),
    block=st.sampled_from(["basic", "bottleneck"]),
    width=st.sampled_from([2, 4, 6]),
    stem=st.sampled_from(["cifar", "imagenet"]),
    variant=st.sampled_from(["plain", "d"]),
    residual=st.booleans(),
    img_size=st.just(8),
    num_classes=st.just(3),
)
VARIES = {
    ViTConfig: [("embed_dim",), ("depth",), ("embed_dim", "depth"), ("depth", "embed_dim"), ("num_heads", "depth")],
    ResNetConfig: [("width",), ("layers",), ("width", "layers"), ("layers", "width")],
}


@given(st.data())
def test_what_is_found_is_within_or_nothing_in_the_grid_is_nearer(data):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("WIDEST", 3), ("DEEPEST", 2), ("FEWEST_DEPTHS", 4)):
            patch.setattr(sizes, name, value)
        config = data.draw(st.one_of(vits, resnets))
        vary = data.draw(st.sampled_from(VARIES[type(config)]))
        to = data.draw(st.one_of(vits, resnets))
        tolerance = data.draw(st.sampled_from([0.0, 0.02, 0.2]))
        search = Search(config, size_candidates.size_candidates(config, vary), macs)
        found = search.nearest(macs(to), tolerance)
        misses = {other: abs(macs(other) / macs(to) - 1) for other in every(config, vary)}
        assert found in misses
        assert misses[found] <= max(tolerance, min(misses.values()) + 1e-12)
        assert search.tried <= len(misses)


@given(st.one_of(vits, resnets))
def test_parameters_are_extrapolated_exactly(config):
    assert equal_cost._params(config) == params(config)


@pytest.mark.nightly("counts")
def test_parameters_too_are_the_nearest_in_the_grid(short):
    targets = [dataclasses.replace(config, num_classes=100) for config in (VIT, RESNET)]
    for config, to in zip((VIT, RESNET), reversed(targets), strict=True):
        found = match(config, to, on="params")
        nearest = min(abs(params(other) / params(to) - 1) for other in every(config, VARIES[type(config)][2]))
        assert found.value == params(found.config)
        assert found.within == (abs(found.ratio - 1) <= 0.02)
        assert found.within or abs(found.ratio - 1) == pytest.approx(nearest)


@pytest.mark.nightly("counts")
def test_memory_is_the_model_of_the_whole_step(monkeypatch):
    monkeypatch.setattr(sizes, "WIDEST", 2)
    config, to = dataclasses.replace(VIT, num_heads=8, depth=1), dataclasses.replace(RESNET, width=7)
    found = match(config, to, on="peak_memory_training_mib", vary=("embed_dim",), settings=MeasureConfig(batch_size=4))
    grid = [dataclasses.replace(config, embed_dim=width) for width in range(8, 33, 8)]
    mebibytes = [memory(other, batch_size=4, training=True).bytes / 2**20 for other in grid]
    assert mebibytes == sorted(mebibytes)
    assert found.value == mebibytes[grid.index(found.config)]
    assert found.target == memory(to, batch_size=4, training=True).bytes / 2**20
    assert found.within or abs(found.ratio - 1) == pytest.approx(min(abs(m / found.target - 1) for m in mebibytes))


@pytest.mark.slow
def test_memory_finds_what_was_planted():
    planted = dataclasses.replace(VIT, embed_dim=28)
    found = match(VIT, planted, on="peak_memory_training_mib")
    assert found.within
    assert found.config.depth == VIT.depth


def test_the_first_knob_gives_way_first():
    """DeiT's small from its tiny is width alone; twice the blocks of a block are depth alone."""
    tiny, small = zoo("deit_tiny_patch16_224"), zoo("deit_small_patch16_224")
    assert match(tiny, small, on="params").config == dataclasses.replace(tiny, embed_dim=384)
    deep = dataclasses.replace(tiny, depth=24)
    assert match(tiny, deep, vary=("depth", "embed_dim")).config == deep
    assert match(tiny, small, vary=("num_heads",)).config == small


def test_a_later_knob_moves_no_more_than_it_must():
    coarse = dataclasses.replace(VIT, embed_dim=8, num_heads=8)  # eight channels a step
    found = match(coarse, dataclasses.replace(VIT, embed_dim=20, depth=5), tolerance=0.02)
    assert found.within
    target, own = found.target, coarse.depth
    nearer = [depth for depth in range(1, 25) if abs(math.log(depth / own)) < abs(math.log(found.config.depth / own))]
    for depth, width in itertools.product(nearer, range(8, 129, 8)):
        cost = macs(dataclasses.replace(coarse, depth=depth, embed_dim=width))
        assert abs(cost / target - 1) > 0.02


def test_a_config_that_costs_the_same_is_itself():
    for config in (VIT, RESNET, zoo("resnet50")):
        found = match(config, config)
        assert (found.config, found.ratio, found.within, found.changed) == (config, 1.0, True, ())


def test_what_is_out_of_reach_is_the_end_of_the_sizes():
    found = match(VIT, zoo("vit_huge_patch14_224"))
    assert (found.config.embed_dim, found.config.depth, found.within) == (16 * 16, 24, False)
    assert "NOT within ±2 %, the nearest possible" in str(found)
    found = match(zoo("vit_base_patch16_224"), VIT)
    assert (found.config.embed_dim, found.config.depth, found.within) == (12, 1, False)


PAIRS = {
    "224 px, small": (zoo("vit_tiny_patch16_224"), zoo("resnet18")),
    "224 px": (zoo("vit_small_patch16_224"), zoo("resnet50")),
    "32 px": (
        ViTConfig(img_size=32, patch_size=4, num_classes=10, embed_dim=192, depth=9, num_heads=3, pos_embed="sincos2d"),
        ResNetConfig(depth=18, stem="cifar", img_size=32, num_classes=10),
    ),
}


@pytest.mark.parametrize("on", ["macs", "params"])
@pytest.mark.parametrize("pair", PAIRS)
def test_real_pairs_match_both_ways(pair, on):
    for config, to in (PAIRS[pair], PAIRS[pair][::-1]):
        found = match(config, to, on=on)
        assert found.within
        assert abs(found.value / found.target - 1) <= 0.02
        assert found == match(config, to, on=on)
        if on == "params":
            assert (found.value, found.target) == (params(found.config), params(to))


def test_what_is_matched_is_what_count_finds():
    """The targets are torchvision's ``_ops`` of ResNet-18 and ResNet-50, in MACs."""
    config, to = PAIRS["224 px, small"]
    found = match(config, to)
    assert found.target == count(to).macs == 1_814_073_344
    assert found.value == count(found.config).macs
    assert match(*PAIRS["224 px"]).target == 4_089_184_256


def test_of_the_largest_of_the_zoo_few_sizes_are_looked_at():
    for on in ("macs", "params"):
        found = match(zoo("vit_large_patch16_224"), zoo("vit_huge_patch14_224"), on=on)
        assert found.within
        assert found.tried <= 10  # of thousands; each takes a fifth of a second


def test_what_positions_need_is_kept():
    rope = dataclasses.replace(VIT, pos_embed="rope", embed_dim=16, num_heads=2)
    for target in (VIT, RESNET, zoo("resnet18")):
        assert match(rope, target).config.head_dim % 4 == 0
    grouped = dataclasses.replace(RESNET, norm="groupnorm", width=32)
    assert match(grouped, zoo("resnet18")).config.width % 32 == 0


def test_blocks_are_shared_out_in_proportion():
    for own in ((2, 2, 2, 2), (3, 4, 6, 3), (3, 4, 23, 3), (1, 5)):
        assert distribute_blocks(own, sum(own)) == own
        assert distribute_blocks(own, 2 * sum(own)) == tuple(2 * blocks for blocks in own)
        chain = [distribute_blocks(own, total) for total in range(len(own), 90)]
        for shorter, longer in itertools.pairwise(chain):
            assert sorted(b - a for a, b in zip(shorter, longer, strict=True)) == [0] * (len(own) - 1) + [1]


def test_a_resnet_that_has_a_name_keeps_it():
    config = dataclasses.replace(zoo("resnet34"), width=64)
    assert match(config, dataclasses.replace(config, width=90), vary=("width",)).config.depth == 34
    doubled = match(zoo("resnet18"), ResNetConfig(depth=None, layers=(4, 4, 4, 4), block="basic"), vary=("layers",))
    assert (doubled.config.depth, doubled.config.layers) == (None, (4, 4, 4, 4))
    halved = match(doubled.config, zoo("resnet18"), vary=("layers",))
    assert halved.config == zoo("resnet18")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"on": "flop"}, ["'flop'", "macs", "latency_ms"]),
        ({"vary": ()}, ["nothing can vary", "embed_dim", "depth"]),
        ({"vary": ("embed_dims",)}, ["'embed_dims'", "did you mean 'embed_dim'?"]),
        ({"vary": ("width",)}, ["'width'", "embed_dim, num_heads, depth"]),
        ({"vary": ("depth", "depth")}, ["twice"]),
        ({"vary": ("embed_dim", "num_heads")}, ["embed_dim and num_heads", "leave one out"]),
        ({"config": ExternalConfig("timm:convnext_tiny")}, ["timm:convnext_tiny", "no size"]),
        ({"to": "resnet18"}, ["'resnet18'", "zoo("]),
        ({"tolerance": -1.0}, ["tolerance=-1.0"]),
        ({"on": "latency_ms", "device": "tpu"}, ["'tpu'", "cpu"]),
    ],
)
def test_a_mistake_is_one_sentence(arguments, words):
    with pytest.raises(UserError) as raised:
        match(**{"config": VIT, "to": RESNET} | arguments)
    assert "\n" not in str(raised.value)
    assert all(word in str(raised.value) for word in words), raised.value


def test_one_knob_may_be_named_without_brackets():
    assert match(VIT, RESNET, vary="depth").config.embed_dim == VIT.embed_dim


def test_external_models_can_be_matched_to():
    to = ExternalConfig("torch.nn:Linear", {"in_features": 64, "out_features": 5000}, img_size=64, in_chans=1)
    assert match(VIT, to, on="params").target == 65 * 5000
    assert match(VIT, to, on="macs").target == 64 * 64 * 5000


def test_the_names_are_public():
    assert vitbench.match is match
    assert vitbench.measure.match is match


class Stopwatch:
    """A machine on which a config takes MACs to a power; what a session shows of it is off by luck."""

    def __init__(self, *, power=0.8, factor=1.7, luck=(), invalid=(), spread=0.01):
        self.power, self.factor, self.luck, self.invalid = power, factor, dict(luck), set(invalid)
        self.spread = spread  # of the blocks of a session
        self.timed = []

    def true(self, config):
        return self.factor * (macs(config) / macs(RESNET)) ** self.power

    def session(self, config, number):
        turn = len(self.timed)
        self.timed.append(config)
        shown = self.true(config) * self.luck.get(turn, 1.0)
        logs = math.log(shown) + np.linspace(-self.spread, self.spread, 6)
        return Paired(logs, 10 * shown, 10.0, turn not in self.invalid)

    def find(self, config, vary=None, tolerance=0.05):
        search = Search(config, size_candidates.size_candidates(config, vary), macs)
        return pair_by_latency(search.nearest, macs, self, first=macs(RESNET), tolerance=tolerance)


@pytest.mark.parametrize("power", [0.4, 0.8, 1.3])
@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_latency_is_found_by_macs_and_confirmed(power, factor):
    config = dataclasses.replace(VIT, embed_dim=64, num_heads=1)
    watch = Stopwatch(power=power, factor=factor)
    found = watch.find(config)
    assert found.within
    assert watch.true(found.config) == pytest.approx(1, abs=0.05)
    assert watch.timed[-2:] == [found.config] * 2
    assert len(watch.timed) <= 6


def test_a_lucky_session_does_not_decide():
    """The first session shows 1.0 for a config that takes 1.3 times as long."""
    watch = Stopwatch(factor=1.3, luck={0: 1 / 1.3})
    found = watch.find(dataclasses.replace(VIT, embed_dim=64, num_heads=1))
    assert found.within
    assert watch.true(found.config) == pytest.approx(1, abs=0.05)


def test_a_failed_control_confirms_nothing():
    watch = Stopwatch(invalid=range(100))
    found = watch.find(dataclasses.replace(VIT, embed_dim=64, num_heads=1))
    assert not found.within
    assert f"in {len(watch.timed)} of which the A/A control failed" in found.note
    once = Stopwatch(factor=1.0, invalid={1}).find(dataclasses.replace(VIT, embed_dim=64, num_heads=1))
    assert once.within
    assert "in 1 of which" in once.note


def test_a_grid_too_coarse_for_a_latency_says_the_nearest():
    config = dataclasses.replace(VIT, embed_dim=64, num_heads=64)
    watch = Stopwatch(factor=1.0)
    found = watch.find(config, vary=("embed_dim",))
    assert not found.within
    others = [watch.true(dataclasses.replace(config, embed_dim=64 * n)) for n in range(1, 17)]
    assert abs(math.log(watch.true(found.config))) == pytest.approx(min(abs(math.log(o)) for o in others))


def test_a_real_latency_is_a_ratio_with_its_interval():
    quick = MeasureConfig(batch_size=1, blocks=3, cycles=1, warmup_s=0.05)
    found = match(VIT, RESNET, on="latency_ms", tolerance=0.5, settings=quick, budget_s=0.5)
    assert found.interval.low <= found.ratio <= found.interval.high
    assert found.within in {True, False}
    assert math.isnan(found.value) or found.value > 0
    assert "sessions" in str(found)
    assert found.tried >= 1


def test_wide_sessions_are_added_up_until_they_are_narrow():
    config = dataclasses.replace(VIT, embed_dim=64, num_heads=1)
    narrow = Stopwatch(factor=1.0).find(config)
    wide = Stopwatch(factor=1.0, spread=0.1).find(config)
    assert len(wide.found.logs) > len(narrow.found.logs)
    assert wide.found.ratio.half_width <= 0.05
    hopeless = Stopwatch(factor=1.0, spread=0.4).find(config)
    assert hopeless.found.ratio.half_width > 0.05
    assert f"{equal_latency.SESSIONS} timing sessions; its interval is wider" in hopeless.note


def test_a_noisy_machine_seldom_lies():
    """Sessions that are off by 3 %, as at load 8 on two cores: what is said to be within 5 % is within 8."""
    found = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        luck = {turn: math.exp(rng.normal(0, 0.03)) for turn in range(20)}
        watch = Stopwatch(factor=math.exp(rng.uniform(-1, 1)), power=rng.uniform(0.5, 1.1), luck=luck)
        result = watch.find(dataclasses.replace(VIT, embed_dim=64, num_heads=1))
        found.append((result.within, abs(math.log(watch.true(result.config)))))
    claimed = [off for within, off in found if within]
    assert len(claimed) >= 27
    assert max(claimed) < 0.08
    assert np.mean(np.array(claimed) < 0.05) > 0.9


def test_sessions_are_as_many_as_promised(monkeypatch):
    monkeypatch.setattr(equal_latency, "SESSIONS", 4)
    watch = Stopwatch(luck={turn: 1.5 ** (-1) ** turn for turn in range(20)})
    watch.find(dataclasses.replace(VIT, embed_dim=64, num_heads=1))
    assert len(watch.timed) <= 5
