"""Claims with planted truth."""

import pytest

from tests.support.made_records import Made, claim, pos_embed, vit_vs_resnet
from vitbench import tables
from vitbench.report.claims import judge
from vitbench.report.elements import plain

NAMES = [f"depth={d}" for d in (4, 2, 8)]
VARIANTS = [{"name": n, "axes": {"depth": int(n[6:])}} for n in NAMES]


def judged(folder, claims, *, accuracies=None, latencies=None, control=1.0):
    """Outcome and numbers of each claim, about three depths."""
    made = Made(folder, VARIANTS, axes={"depth": [2, 4, 8]}, claims=claims)
    for name in NAMES:
        made.cost(name, params=1000, macs=1000 * int(name[6:]))
    for name, seeds in zip(NAMES, accuracies or (), strict=False):
        made.accuracy(name, seeds, curves=False)
    if latencies:
        made.timing(dict(zip(NAMES, latencies, strict=True)), control=control)
    study = tables.read_study(folder)
    return [(j.outcome, plain(j.because)) for j in judge(study, tables.table(study))]


LOW = [0.80, 0.81, 0.79, 0.80, 0.82, 0.80]
HIGH = [0.90, 0.91, 0.90, 0.89, 0.92, 0.91]
LIKE_HIGH = [0.901, 0.909, 0.901, 0.889, 0.921, 0.909]


def test_better_than_in_every_direction(tmp_path):
    claims = [
        claim("against the baseline", "accuracy", "", better="depth=4", than="depth=2"),
        claim("the reverse", "accuracy", "", better="depth=2", than="depth=4"),
        claim("without the baseline", "accuracy", "", better="depth=8", than="depth=2"),
        claim("alike", "accuracy", "", better="depth=8", than="depth=4"),
    ]
    found = judged(tmp_path, claims, accuracies=[HIGH, LOW, LIKE_HIGH])
    assert [outcome for outcome, _ in found] == ["supported", "contradicted", "supported", "not resolved"]
    assert found[0][1].startswith("depth=2 against depth=4: worse by 10.2 points [")
    assert "(6 seeds, level 97.5%)" in found[0][1]
    assert found[2][1].startswith("depth=8 against depth=2: better by")


def test_better_in_latency_means_lower(tmp_path):
    claims = [
        claim("faster", "latency_ms", "", better="depth=2", than="depth=4"),
        claim("slower", "latency_ms", "", better="depth=8", than="depth=2"),
    ]
    found = judged(tmp_path, claims, latencies=[2e-3, 1e-3, 4e-3])
    assert [outcome for outcome, _ in found] == ["supported", "contradicted"]
    assert "12 blocks" in found[0][1]


def test_a_failed_control_resolves_nothing(tmp_path):
    claims = [claim("faster", "latency_ms", "", better="depth=2", than="depth=4"),
              claim("equal", "latency_ms", "", equal=["depth=2", "depth=4"])]  # fmt: skip
    found = judged(tmp_path, claims, latencies=[2e-3, 1e-3, 4e-3], control=1.2)
    assert {outcome for outcome, _ in found} == {"not resolved"}
    assert "INVALID" in found[0][1]


def test_equal_within_a_margin(tmp_path):
    claims = [
        claim("equal", "accuracy", "", equal=["depth=4", "depth=8"], margin=0.01),
        claim("not equal", "accuracy", "", equal=["depth=4", "depth=2"], margin=0.01),
        claim("too wide to tell", "accuracy", "", equal=["depth=4", "depth=8"], margin=0.0001),
    ]
    found = judged(tmp_path, claims, accuracies=[HIGH, LOW, LIKE_HIGH])
    assert [outcome for outcome, _ in found] == ["supported", "contradicted", "not resolved"]
    assert "margin ±1 point" in found[1][1]


@pytest.mark.parametrize("seeds", [2, 5])
def test_few_seeds_resolve_no_claim(tmp_path, seeds):
    claims = [claim("better", "accuracy", "", better="depth=4", than="depth=2"),
              claim("equal", "accuracy", "", equal=["depth=4", "depth=8"])]  # fmt: skip
    found = judged(tmp_path, claims, accuracies=[HIGH[:seeds], LOW[:seeds], LIKE_HIGH[:seeds]])
    assert {outcome for outcome, _ in found} == {"not resolved"}


def test_counted_costs_are_compared_as_they_stand(tmp_path):
    claims = [
        claim("fewer", "macs", "", better="depth=2", than="depth=8"),
        claim("more", "macs", "", better="depth=8", than="depth=2"),
        claim("as many", "params", "", equal=["depth=2", "depth=8"]),
        claim("not as many", "macs", "", equal=["depth=2", "depth=8"], margin=0.5),
        claim("unknown", "peak_memory_training_mib", "", better="depth=2", than="depth=8"),
    ]
    found = judged(tmp_path, claims)
    assert [o for o, _ in found] == ["supported", "contradicted", "supported", "contradicted", "not resolved"]
    assert found[0][1] == "depth=2 2.00 k, depth=8 8.00 k (counted, no interval)".replace(
        " k", "\N{NARROW NO-BREAK SPACE}k"
    )


def test_growth_along_an_axis(tmp_path):
    claims = [
        claim("MACs: exactly linear", "macs", "", along="depth", exponent=[0.99, 1.01]),
        claim("MACs: not quadratic", "macs", "", along="depth", exponent=[1.5, 2.5]),
        claim("latency: 1 ms to 4 ms over 2 to 8", "latency_ms", "", along="depth", exponent=[0.9, 1.1]),
        claim("latency: not quadratic", "latency_ms", "", along="depth", exponent=[1.5, 2.5]),
        claim("latency: on the edge", "latency_ms", "", along="depth", exponent=[1.0, 1.1]),
    ]
    found = judged(tmp_path, claims, latencies=[2e-3, 1e-3, 4e-3])
    assert [o for o, _ in found] == ["supported", "contradicted", "supported", "contradicted", "not resolved"]
    assert found[0][1] == "exponent 1.00 over depth 2, 4, 8 (counted, no interval); asked: 0.99 to 1.01"
    assert "12 blocks" in found[2][1]


def test_growth_without_points_is_not_resolved(tmp_path):
    claims = [claim("nothing", "latency_ms", "", along="depth", exponent=[0.9, 1.1])]
    assert judged(tmp_path, claims)[0][0] == "not resolved"


def test_throughput_has_no_interval_and_resolves_nothing(tmp_path):
    claims = [claim("more", "throughput_img_s", "", better="depth=2", than="depth=8")]
    assert judged(tmp_path, claims)[0][0] == "not resolved"


def test_claims_of_the_made_ablations(tmp_path):
    outcomes = []
    for number, make in enumerate((pos_embed, vit_vs_resnet)):
        make(tmp_path / str(number))
        study = tables.read_study(tmp_path / str(number))
        outcomes.append([j.outcome for j in judge(study, tables.table(study))])
    assert outcomes == [["supported", "supported", "contradicted", "contradicted"], ["supported", "supported"]]


def test_what_is_the_same_under_every_seed_needs_no_test(tmp_path):
    """A task with a known answer: exactly 100 % under every seed, and exactly chance."""
    claims = [
        claim("against the baseline", "accuracy", "", better="depth=4", than="depth=2"),
        claim("the reverse", "accuracy", "", better="depth=2", than="depth=4"),
        claim("alike", "accuracy", "", better="depth=8", than="depth=4"),
        claim("equal", "accuracy", "", equal=("depth=8", "depth=4")),
    ]
    found = judged(tmp_path, claims, accuracies=[[1.0] * 6, [0.25] * 6, [1.0] * 6])
    assert [outcome for outcome, _ in found] == ["supported", "contradicted", "not resolved", "supported"]
    assert "−75.0 points in each of 6 seeds; without spread, no test" in found[0][1]
