"""The lazy plan holds the trials that a naive one would, in its order; what waits is counted without a look at all."""

import dataclasses
import io
import itertools
import random
import subprocess
import sys
import time

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from rich.console import Console

from tests.run import large_grid
from tests.run.planning.test_plan import records_of
from tests.status.test_status import left, opening, result_of, stands, write
from vitbench.declare import discovery, quantities
from vitbench.declare.ablation import Ablation
from vitbench.declare.external import ExternalConfig
from vitbench.declare.tuning import Tuning
from vitbench.declare.vit import ViTConfig
from vitbench.records.reader import read
from vitbench.records.tuning_outcome import FIRST_SEED, points
from vitbench.run import execute
from vitbench.run.backlog import Backlog
from vitbench.run.planning.lazy_trials import Blocks, block_of
from vitbench.run.planning.macs import sampled_macs, spread
from vitbench.run.planning.plan import make_plan
from vitbench.run.planning.preview import show
from vitbench.run.planning.trial import Trial
from vitbench.run.planning.trials import SESSION_SIZE, Survey
from vitbench.run.progress.observer import Estimate
from vitbench.run.queue import Queue

DATA = {"name": "digits", "version": "1", "img_size": 8, "in_chans": 1, "num_classes": 10, "num_train": 1077}
TINY = ViTConfig(img_size=8, patch_size=4, in_chans=1, num_classes=10, embed_dim=16, depth=2, num_heads=2)
SHIPPED = [listing.name for listing in discovery.listings() if listing.shipped]


def survey_of(ablation, **data):
    sources = {source: f"digest {i // 2}" for i, source in enumerate(ablation.sources)}  # two files have one content
    return Survey(device="cpu", data={**DATA, **data}, torch={}, sources=sources)


def planned(ablation, seeds=2, **changes):
    return make_plan(ablation, survey_of(ablation), name="x", seeds=seeds, **changes)


def naive(ablation, survey, seeds):
    """Every trial of a fresh folder by one look at each variant, each told from the others by its id alone."""
    able = [v for v in ablation.variants() if v.model is not None]
    common = {"device": "cpu", "sources": tuple(survey.sources.items())}
    about = {**common, "data": (survey.data["name"], survey.data["version"]), "images": survey.data["num_train"]}

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
    survey = survey_of(ablation, name=ablation.data, num_classes=ablation.baseline.num_classes, **shape)
    plan = make_plan(ablation, survey, name=name, seeds=2)
    assert told(plan.trials) == told(naive(ablation, survey, 2))


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


@settings(max_examples=40)
@given(ablation=small_ablations())
def test_a_lazy_plan_has_the_trials_of_a_naive_one(ablation):
    plan = planned(ablation)
    assert told(plan.trials) == told(naive(ablation, survey_of(ablation), 2))
    assert sum(plan.counts.values()) == len(plan.trials) == len(list(plan.trials))
    assert plan.counts == plan.total
    for trial in plan.trials:
        for variant in trial.variants:  # all of whom a measurement speaks for would have had its id
            same = trial.failure_id if trial.alone else trial.id
            assert {same(row) for row in trial.rows(variant)} == {same(variant)}


@settings(max_examples=25)
@given(ablation=small_ablations(), data=st.data())
def test_what_is_left_is_what_is_not_recorded(ablation, data):
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
def test_a_session_has_32_variants_at_most_and_each_has_the_baseline(count):
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


def test_more_variants_leave_whole_sessions_as_they_are():
    fewer, more = (planned(wide(count)).trials.of("latency") for count in (70, 90))
    assert [t.session for t in fewer][:2] == [t.session for t in more][:2]
    assert len(fewer) == len(more) == 3


@settings(max_examples=20, phases=[Phase.generate])
@given(choose=st.data())
def test_sessions_that_are_left_are_those_that_the_planner_would_run(choose, tmp_path_factory):
    """``status`` knows it from the records alone, though none of several sessions times everyone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vitbench.run.planning.trials.SESSION_SIZE", 3)
        plan = planned(wide(7), kinds=("latency", "train_step"))
        assert plan.counts == {"latency": 3, "train_step": 3}
        records = opening(plan)
        for trial in plan.trials:
            how = choose.draw(st.sampled_from(["absent", "ok", "ok", "without"]), label=trial.label)
            if how == "without":  # the last one cannot be called, the other is timed without it
                records += result_of(dataclasses.replace(trial, variants=trial.variants[-1:]), "failed", reason="no")
                trial = dataclasses.replace(trial, variants=trial.variants[:-1])  # noqa: PLW2901
            records += result_of(trial) if how != "absent" else []
        again = planned(wide(7), kinds=("latency", "train_step"), records=records)
    found = stands(write(tmp_path_factory.mktemp("run"), *records))
    assert left(found) == again.counts


CHUNKED = ("good", "sociable", "moody", "leaves", "diverges")


@pytest.mark.slow
def test_who_breaks_one_session_leaves_the_others_alone(folder, sweep_of, shared, monkeypatch):
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


def test_trials_are_made_when_they_are_asked_for():
    plan = planned(wide(5), seeds=3)
    assert plan.trials[-1].label == "accuracy depth=6 seed 2"
    assert plan.trials[0].only_id == plan.trials[0].only_id
    assert plan.trials[0] is not plan.trials[0]
    assert [t.label for t in plan.trials[-2:]] == [t.label for t in list(plan.trials)[-2:]]
    with pytest.raises(IndexError):
        plan.trials[len(plan.trials)]


def trial_of(name, seed=0, needs=None):
    variant = dataclasses.replace(planned(wide(1)).variants[0], name=name)
    train = dataclasses.replace(variant.train, epochs=1 + sum(map(ord, name)))
    variant = dataclasses.replace(variant, train=train)
    return Trial(kind="accuracy", variants=(variant,), device="cpu", seed=seed, needs=needs or {})


@settings(max_examples=40)
@given(random_=st.randoms(use_true_random=False), ends_well=st.lists(st.booleans(), min_size=12, max_size=12))
def test_a_queue_gives_each_trial_once_and_none_before_what_it_needs(random_, ends_well):
    trials = []
    for i in range(12):
        needed = random_.sample(trials, min(len(trials), random_.choice([0, 0, 1, 2])))
        trials.append(trial_of(f"v{i}", needs=dict(zip(("teacher", "init_from"), needed, strict=False))))
    there, given_, running, lost = set(), [], [], set()
    needed = {n.only_id for t in trials for n in t.needs.values()}
    queue = Queue(iter(trials), needed, lambda t: t.only_id in there)
    while True:
        while len(running) < 3 and (trial := queue.take()) is not None:
            given_.append(trial)
            absent = {n.only_id for n in trial.needs.values()} - there
            assert (queue.lost(trial) is not None) == bool(absent)
            if absent:
                lost.add(trial.only_id)
                queue.ended(trial)
            else:
                running.append(trial)
        if not running:
            break
        trial = running.pop(random_.randrange(len(running)))
        if ends_well[trials.index(trial)]:
            there.add(trial.only_id)
        queue.ended(trial)
    assert sorted(map(trials.index, given_)) == list(range(12))
    bad = {t.only_id for t, well in zip(trials, ends_well, strict=True) if not well}
    for trial in trials:  # given up exactly where something that it needs was given up or failed
        assert (trial.only_id in lost) == any(n.only_id in lost | bad for n in trial.needs.values())


def test_those_that_wait_for_nobody_overtake():
    teacher, free = trial_of("teacher"), [trial_of(f"free{i}") for i in range(3)]
    taught = [trial_of(f"taught{i}", needs={"teacher": teacher}) for i in range(3)]
    there = set()
    queue = Queue([teacher, *taught, *free], {teacher.only_id}, lambda t: t.only_id in there)
    assert [queue.take() for _ in range(5)] == [teacher, *free, None]
    there.add(teacher.only_id)
    queue.ended(teacher)
    assert [queue.take() for _ in range(4)] == [*taught, None]


class Counted(Estimate):
    guessed = 0

    def guess(self, trial):
        type(self).guessed += 1
        return super().guess(trial)


def test_what_waits_is_known_without_a_look_at_it():
    """Of 10,000 trials each start costs one guess, and what is left is the sum over those that wait."""
    plan = planned(wide(40), seeds=250)
    estimate = Counted(1077, 2, {v.name: 10**6 * (1 + i) for i, v in enumerate(plan.variants)})
    backlog = Backlog(plan.trials, estimate)
    assert len(backlog) == len(plan.trials) > 10_000
    assert Counted.guessed < 400  # seeds do not differ
    order = list(plan.trials)
    random.Random(0).shuffle(order)
    Counted.guessed = 0
    for trial in order[:5000]:
        backlog.take(trial)
        estimate.remaining(backlog.guessed)
    assert Counted.guessed == 5000
    assert len(backlog) == len(order) - 5000
    rest = Blocks(block_of([trial]) for trial in order[5000:])
    assert estimate.remaining(backlog.guessed) == pytest.approx(estimate.remaining(estimate.guesses(rest)))
    for trial in order[5000:]:
        backlog.take(trial)
    assert (len(backlog), estimate.remaining(backlog.guessed)) == (0, 0)


def test_guesses_follow_the_macs_that_are_counted():
    plan = planned(wide(40), seeds=3)
    estimate = Estimate(1077, 1)
    backlog = Backlog(plan.trials, estimate)
    for i, variant in enumerate(plan.variants):
        backlog.learn({variant.name: 10**8 * (1 + i)})
    backlog.guess_again()
    known = Estimate(1077, 1, {v.name: 10**8 * (1 + i) for i, v in enumerate(plan.variants)})
    assert backlog.guessed == pytest.approx(known.guesses(plan.trials))


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
    return dataclasses.replace(plan, macs=sampled_macs(plan.variants, lambda _: ()), seconds=1.0)


def test_a_large_plan_is_shown_in_part_and_says_so():
    axes = {"depth": tuple(range(1, 101)), "num_heads": (1, 2, 3, 5, 7)}
    text = previewed(with_macs(Ablation(question="?", baseline=TINY, axes=axes, design="grid")))
    lines = text.splitlines()
    assert len(lines) < 60
    assert "… 40 of 500 rows are shown, evenly spread" in lines
    assert "… MACs were counted for 100 of 200, evenly spread; the time is for all" in lines
    assert "100 skipped: num_heads=3 does not divide embed_dim=16: it takes 1, 2, 4, 8, 16" in lines
    assert sum(line.startswith("depth=") for line in lines) == 39
    assert " 400 × accuracy" in lines


def test_a_small_plan_is_shown_whole():
    text = previewed(with_macs(Ablation(question="?", baseline=TINY, axes={"num_heads": (1, 2, 3)})))
    assert "skipped: num_heads=3 does not divide embed_dim=16" in " ".join(text.split())
    assert "…" not in text


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
def test_a_grid_of_100_000_cells_is_planned_in_500_mib(tmp_path):
    told_ = large_grid.dry_run(tmp_path, 100_000)
    assert told_["peak"] <= 500 * 2**20
    assert "of 100,000 rows are shown" in told_["output"]


def test_the_door_of_the_plan_is_shut():
    code = "import sys, vitbench.run.planning.preview, vitbench.run.backlog; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
