"""The lazy plan has the trials of a naive one in the same order, and a very large grid fits in memory."""

import dataclasses
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.run import large_grid
from tests.run.planning.test_plan import records_of
from vitbench.declare import discovery, quantities
from vitbench.declare.ablation import Ablation
from vitbench.declare.external import ExternalConfig
from vitbench.declare.tuning import FIRST_SEED, Tuning, points
from vitbench.declare.vit import ViTConfig
from vitbench.records.reader import read
from vitbench.run import execute
from vitbench.run.planning.plan import make_plan
from vitbench.run.planning.trial import Trial
from vitbench.run.planning.trials import SESSION_SIZE, Preflight

DATA = {"name": "digits", "version": "1", "img_size": 8, "in_chans": 1, "num_classes": 10, "num_train": 1077}
TINY = ViTConfig(img_size=8, patch_size=4, in_chans=1, num_classes=10, embed_dim=16, depth=2, num_heads=2)
SHIPPED = [listing.name for listing in discovery.listings() if listing.shipped]


def preflight_of(ablation, **data):
    sources = {source: f"digest {i // 2}" for i, source in enumerate(ablation.sources)}  # two files have one content
    return Preflight(device="cpu", data={**DATA, **data}, torch={}, sources=sources)


def planned(ablation, seeds=2, **changes):
    return make_plan(ablation, preflight_of(ablation), name="x", seeds=seeds, **changes)


def naive(ablation, preflight, seeds):
    """Every trial of a fresh folder by one look at each variant, each told from the others by its id alone."""
    able = [v for v in ablation.variants() if v.model is not None]
    common = {"device": "cpu", "sources": tuple(preflight.sources.items())}
    data = preflight.data
    about = {**common, "data": (data["name"], data["version"]), "images": data["num_train"]}

    def needs(variant, seed):
        found = {role: next(v for v in able if v.name == name) for role, name in variant.needs.items()}
        return {role: trained("accuracy", needed, seed, seed) for role, needed in found.items()}

    def trained(kind, variant, seed, needed_seed, **rest):
        return Trial(kind=kind, variants=(variant,), seed=seed, needs=needs(variant, needed_seed), **about, **rest)

    def in_order(trials):  # of each id the first, where it stands
        known = set()
        return [t for t in trials if t.only_id not in known and not known.add(t.only_id)]

    found = in_order(Trial(kind=k, variants=(v,), **common) for k in ("cost", "memory", "ceiling") for v in able)
    for kind in quantities.kinds("session"):
        alone = in_order(Trial(kind=kind, variants=(v,), **common) for v in able)
        (first, *others), size = [t.variants[0] for t in alone], SESSION_SIZE - 1
        chunks = [others[i : i + size] for i in range(0, len(others), size)] or [[]]
        found += [Trial(kind=kind, variants=(first, *chunk), **common) for chunk in chunks]
    found += in_order(trained("accuracy", v, seed, seed) for seed in range(seeds) for v in able)
    if (tuning := ablation.tuning) is not None:
        units = {v.name if tuning.per == "variant" else type(v.model): v for v in reversed(able)}
        tries = [
            trained("tuning", dataclasses.replace(v, train=dataclasses.replace(v.train, lr=lr, weight_decay=decay)),
                    FIRST_SEED + k, k % seeds, number=number)
            for number in range(tuning.tries)
            for v in sorted(units.values(), key=able.index)
            for lr, decay in [points(tuning, (v.train.lr, v.train.weight_decay))[number]]
            for k in range(tuning.seeds)
        ]  # fmt: skip
        found += in_order(tries)
        found += in_order(trained("accuracy", v, s, s, recipe="tuned") for s in range(seeds) for v in able)
    return found


def told(trials):
    return [
        (t.kind, t.recipe, t.seed, t.number, t.session, [v.name for v in t.variants], [t.id(v) for v in t.variants],
         {role: needed.only_id for role, needed in t.needs.items()})
        for t in trials
    ]  # fmt: skip


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_ablations_have_the_trials_of_a_naive_plan(name):
    ablation = discovery.load(name).ablation
    shape = {"img_size": ablation.baseline.img_size, "in_chans": ablation.baseline.in_chans}
    preflight = preflight_of(ablation, name=ablation.data, num_classes=ablation.baseline.num_classes, **shape)
    plan = make_plan(ablation, preflight, name=name, seeds=2)
    assert told(plan.trials) == told(naive(ablation, preflight, 2))


AXES = {
    "depth": (1, 2, 3),
    "num_heads": (1, 2, 3),  # 3 does not divide 16
    "mlp_ratio": (4, 4.5),
    "train.lr": (0.001, 0.002),
    "train.ema": (0.0, 0.9),
    "data.fraction": (0.5, 1.0),
    "measure.compile": (False, True),
    "measure.batch_size": (8, 16),
    "measure.resident": (False, True),
}
TAUGHT = {"train.teacher": "variant:cnn", "train.distillation": "soft"}
FROM_FILE = {"train.init_from": "there.safetensors"}
KWARGS = {"a": ExternalConfig("mine:net", {"flag": True}), "b": ExternalConfig("mine:net", {"flag": 1})}


@st.composite
def small_ablations(draw):
    axes = draw(st.lists(st.sampled_from(sorted(AXES)), min_size=1, max_size=3, unique=True))
    tuning = draw(st.sampled_from([None, Tuning(tries=2), Tuning(tries=2, seeds=2, per="variant")]))
    tuning = tuning if "train.lr" not in axes else None
    return Ablation(
        question="?",
        baseline=TINY,
        axes={axis: AXES[axis] for axis in axes},
        design=draw(st.sampled_from(["one_at_a_time", "grid"])),
        combined=draw(st.sampled_from([{}, {"taught": TAUGHT}, {"taught": TAUGHT, "begun": FROM_FILE}])),
        references={"cnn": ViTConfig(patch_size=4, embed_dim=32, num_heads=2), **draw(st.sampled_from([{}, KWARGS]))},
        tuning=tuning,
    )


@given(ablation=small_ablations())
def test_a_lazy_plan_has_the_trials_of_a_naive_one(ablation):
    plan = planned(ablation)
    assert told(plan.trials) == told(naive(ablation, preflight_of(ablation), 2))
    assert sum(plan.counts.values()) == len(plan.trials) == len(list(plan.trials))
    assert plan.counts == plan.total
    for trial in plan.trials:
        for variant in trial.variants:  # all of whom a measurement speaks for would have had its id
            same = trial.failure_id if trial.alone else trial.id
            assert {same(row) for row in trial.rows(variant)} == {same(variant)}


@given(ablation=small_ablations(), data=st.data())
def test_trials_to_run_are_those_without_a_record(ablation, data):
    plan = planned(ablation)
    alone = [t for t in plan.trials if not t.alone and t.recipe == "same"]
    done = data.draw(st.sets(st.sampled_from([t.only_id for t in alone]), max_size=8))
    again = planned(ablation, records=[r for t in alone if t.only_id in done for r in records_of(t)])
    left = [t for t in again.trials if t.recipe == "same"]
    lost = {t.only_id for t in left if not t.alone} & done
    assert lost <= {n.only_id for t in again.trials for n in t.needs.values()}  # a teacher whose model is not there
    assert {t.only_id for t in again.reused} == done - lost
    expected = [t for t in plan.trials if t.recipe == "same" and (t.alone or t.only_id not in done)]
    assert told(t for t in left if t.alone or t.only_id not in lost) == told(expected)


def wide(count, **changes):
    return Ablation(question="?", baseline=TINY, axes={"depth": tuple(range(2, 2 + count))}, **changes)


@pytest.mark.parametrize("count", [1, 31, 32, 33, 63, 64, 100])
def test_a_session_has_the_baseline_and_at_most_32_variants(count):
    plan = planned(wide(count))
    for kind in quantities.kinds("session"):
        sessions = [[v.name for v in t.variants] for t in plan.trials.of(kind)]
        assert {names[0] for names in sessions} == {"depth=2"}
        assert [name for names in sessions for name in names[1:]] == [f"depth={i}" for i in range(3, 2 + count)]
        assert max(map(len, sessions)) <= SESSION_SIZE
        assert len(sessions) == max(1, -(-(count - 1) // (SESSION_SIZE - 1)))
    if count <= SESSION_SIZE:
        (alone,) = plan.trials.of("latency")
        whole = Trial(kind="latency", variants=plan.variants, device="cpu", sources=())
        assert alone.session == whole.session


def test_added_variants_do_not_change_full_sessions():
    fewer, more = (planned(wide(count)).trials.of("latency") for count in (70, 90))
    assert [t.session for t in fewer][:2] == [t.session for t in more][:2]
    assert len(fewer) == len(more) == 3


CHUNKED = ("good", "sociable", "moody", "leaves", "diverges")


@pytest.mark.slow
def test_a_variant_that_ends_one_session_leaves_the_others_complete(folder, sweep_of, shared, monkeypatch):
    monkeypatch.setattr("vitbench.run.planning.trials.SESSION_SIZE", 3)
    ablation = sweep_of(*CHUNKED)
    results = folder / "results"
    outcome = execute(ablation, name="x", directory=results, executor=shared, kinds=("latency",))
    timed = {name: [r for r in read(results) if r.kind == "latency" and r.variant.endswith(name)] for name in CHUNKED}
    assert {name: [r.status for r in rows] for name, rows in timed.items()} == {
        "good": ["ok", "ok"],
        "sociable": ["ok"],
        "moody": ["failed"],
        "leaves": ["failed"],
        "diverges": ["failed"],
    }
    controls = [r for r in read(results) if r.kind == "latency_control"]
    assert len({r.session for r in controls}) == len(controls) == 2
    assert outcome.failed == 3
    again = execute(ablation, name="x", directory=results, executor=shared, kinds=("latency",))
    assert (again.done, again.left, again.reused) == (0, 0, 2)


def test_trials_are_built_on_access():
    plan = planned(wide(5), seeds=3)
    assert plan.trials[-1].label == "accuracy depth=6 seed 2"
    assert plan.trials[0].only_id == plan.trials[0].only_id
    assert plan.trials[0] is not plan.trials[0]
    assert [plan.trials[i].label for i in (-2, -1)] == [t.label for t in list(plan.trials)[-2:]]
    with pytest.raises(IndexError):
        plan.trials[len(plan.trials)]


@pytest.mark.slow
def test_time_grows_with_the_cells():
    """Twice the cells take twice the time, where all pairs would take four times; in one process, by CPU seconds."""
    large_grid.planned(large_grid.ablation(1000))

    def seconds(cells):
        start = time.process_time()
        large_grid.planned(large_grid.ablation(cells))
        return time.process_time() - start

    assert any(seconds(20_000) / seconds(10_000) <= 3 for _ in range(3))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cells", "rows", "mib"),
    [(10_000, "10,001", 120), pytest.param(100_000, "100,000", 500, marks=pytest.mark.nightly("scale"))],
)
def test_a_large_grid_is_planned_in_little_memory(tmp_path, cells, rows, mib):
    """The baseline is a cell of the larger grid only."""
    told_ = large_grid.dry_run(tmp_path, cells)
    assert told_["peak"] <= mib * 2**20
    assert f"of {rows} rows are shown" in told_["output"]


def test_planning_imports_no_torch():
    code = "import sys, vitbench.run.progress.preview, vitbench.run.trial_queue; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
