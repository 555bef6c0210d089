"""The time left: exact once trials of a kind have been seen to take the same time, sane before."""

import dataclasses

import pytest

from vitbench.declare.ablation import Ablation
from vitbench.declare.quantities import find_quantity, kinds
from vitbench.declare.train import TrainConfig
from vitbench.declare.vit import ViTConfig
from vitbench.run.planning.lazy_trials import Blocks, block_of
from vitbench.run.planning.trial import Trial
from vitbench.run.progress.estimate import Estimate

TINY = ViTConfig(img_size=8, patch_size=4, in_chans=1, num_classes=10, embed_dim=16, depth=1, num_heads=2)
VARIANTS = tuple(Ablation(question="?", baseline=TINY, axes={"depth": (1, 2)}, train=TrainConfig()).variants())


def trials(kind, count=1):
    variants = VARIANTS if kind in {"latency", "train_step", "throughput"} else VARIANTS[:1]
    return [Trial(kind=kind, variants=variants, device="cpu", seed=seed) for seed in range(count)]


@pytest.mark.parametrize("kind", kinds())
def test_what_was_observed_is_expected_again(kind):
    estimate = Estimate(1077, jobs=1)
    (first, *rest) = trials(kind, 5)
    waiting = Blocks([block_of(rest)])
    assert 0 < estimate.seconds(first) < 600
    estimate.observe(first, 12.5)
    assert estimate.remaining(estimate.guesses(waiting)) == pytest.approx(4 * 12.5)
    assert estimate.remaining(estimate.guesses(waiting), {first: 10.0}) == pytest.approx(4 * 12.5 + 2.5)
    assert estimate.remaining({}, {first: 100.0}) == 0


def test_jobs_share_what_goes_side_by_side():
    estimates = [Estimate(1077, jobs) for jobs in (1, 2)]
    for kind in kinds():
        waiting = Blocks([block_of(trials(kind, 4))])
        one, two = (estimate.remaining(estimate.guesses(waiting)) for estimate in estimates)
        assert one == pytest.approx(two if find_quantity(kind).exclusive else 2 * two)


def test_a_try_is_expected_to_take_as_long_as_a_training():
    estimate = Estimate(1077, jobs=1)
    (training,), (tried,) = trials("accuracy"), trials("tuning")
    estimate.observe(training, 12.5)
    assert estimate.seconds(tried) == pytest.approx(12.5)


def test_a_teacher_takes_its_time_too():
    """One forward pass beside the three that a training step is worth: a third more for a teacher of equal size."""
    estimate = Estimate(1077, jobs=1, macs=dict.fromkeys((v.name for v in VARIANTS), 10**9))
    (alone,) = trials("accuracy")
    taught = dataclasses.replace(alone, needs={"teacher": alone})
    assert estimate.seconds(taught) / estimate.seconds(alone) == pytest.approx(4 / 3, rel=0.01)


def test_larger_models_take_longer():
    small, large = ({v.name: size for v in VARIANTS} for size in (10**6, 10**9))
    for kind in ("latency", "train_step", "accuracy"):
        (trial,) = trials(kind)
        assert Estimate(1077, 1, large).seconds(trial) > 10 * Estimate(1077, 1, small).seconds(trial)
