"""Trials that wait: each is given once, after the trials that it needs; their number and seconds are always known."""

import dataclasses
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.run.planning.test_lazy_trials import planned, wide
from vitbench.run.planning.lazy_trials import Blocks, block_of
from vitbench.run.planning.trial import Trial
from vitbench.run.progress.estimate import Estimate
from vitbench.run.trial_queue import RemainingWork, TrialQueue


def trial_of(name, seed=0, needs=None):
    variant = dataclasses.replace(planned(wide(1)).variants[0], name=name)
    train = dataclasses.replace(variant.train, epochs=1 + sum(map(ord, name)))
    variant = dataclasses.replace(variant, train=train)
    return Trial(kind="accuracy", variants=(variant,), device="cpu", seed=seed, needs=needs or {})


@settings(max_examples=40)
@given(random_=st.randoms(use_true_random=False), ends_well=st.lists(st.booleans(), min_size=12, max_size=12))
def test_the_queue_gives_each_trial_once_and_after_the_trials_that_it_needs(random_, ends_well):
    trials = []
    for i in range(12):
        needed = random_.sample(trials, min(len(trials), random_.choice([0, 0, 1, 2])))
        trials.append(trial_of(f"v{i}", needs=dict(zip(("teacher", "init_from"), needed, strict=False))))
    there, given_, running, lost = set(), [], [], set()
    needed = {n.only_id for t in trials for n in t.needs.values()}
    queue = TrialQueue(iter(trials), needed, lambda t: t.only_id in there)
    while True:
        while len(running) < 3 and (trial := queue.take()) is not None:
            given_.append(trial)
            absent = {n.only_id for n in trial.needs.values()} - there
            assert (queue.unmet_need(trial) is not None) == bool(absent)
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


def test_trials_without_needs_overtake_waiting_ones():
    teacher, free = trial_of("teacher"), [trial_of(f"free{i}") for i in range(3)]
    taught = [trial_of(f"taught{i}", needs={"teacher": teacher}) for i in range(3)]
    there = set()
    queue = TrialQueue([teacher, *taught, *free], {teacher.only_id}, lambda t: t.only_id in there)
    assert [queue.take() for _ in range(5)] == [teacher, *free, None]
    there.add(teacher.only_id)
    queue.ended(teacher)
    assert [queue.take() for _ in range(4)] == [*taught, None]


class Counted(Estimate):
    guessed = 0

    def guess(self, trial):
        type(self).guessed += 1
        return super().guess(trial)


def test_a_start_updates_the_remaining_work_in_constant_time():
    """Each start of 10,000 trials costs one estimate, and the remaining seconds are the sum over waiting trials."""
    plan = planned(wide(40), seeds=250)
    estimate = Counted(1077, 2, {v.name: 10**6 * (1 + i) for i, v in enumerate(plan.variants)})
    remaining = RemainingWork(plan.trials, estimate)
    assert len(remaining) == len(plan.trials) > 10_000
    assert Counted.guessed < 400  # seeds do not differ
    order = list(plan.trials)
    random.Random(0).shuffle(order)
    Counted.guessed = 0
    for trial in order[:5000]:
        remaining.start(trial)
        estimate.remaining(remaining.seconds)
    assert Counted.guessed == 5000
    assert len(remaining) == len(order) - 5000
    rest = Blocks(block_of([trial]) for trial in order[5000:])
    assert estimate.remaining(remaining.seconds) == pytest.approx(estimate.remaining(estimate.guesses(rest)))
    for trial in order[5000:]:
        remaining.start(trial)
    assert (len(remaining), estimate.remaining(remaining.seconds)) == (0, 0)


def test_remaining_seconds_follow_the_counted_macs():
    plan = planned(wide(40), seeds=3)
    estimate = Estimate(1077, 1)
    remaining = RemainingWork(plan.trials, estimate)
    for i, variant in enumerate(plan.variants):
        remaining.learn({variant.name: 10**8 * (1 + i)})
    remaining.update_estimates()
    known = Estimate(1077, 1, {v.name: 10**8 * (1 + i) for i, v in enumerate(plan.variants)})
    assert remaining.seconds == pytest.approx(known.guesses(plan.trials))
