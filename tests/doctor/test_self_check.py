"""The self-checks run, count what they say they count, and miss no claim; how a machine fares is not asserted."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from vitbench.doctor import self_check


def faked(monkeypatch, kinds, valid=(True,), ratio=1.05):
    """Comparisons whose verdicts are these, in turn."""
    seen = []

    def compare(models, images, *, baseline, seed, **settings):
        index = len(seen)
        seen.append((seed, settings, models))
        other = next(name for name in models if name != baseline)
        verdict = SimpleNamespace(kind=kinds[index % len(kinds)])
        comparison = SimpleNamespace(verdict=verdict, value=ratio, low=ratio - 0.01, high=ratio + 0.01)
        session = SimpleNamespace(cpu_share=1.0, pressure=0.1)
        return SimpleNamespace(ratios={other: comparison}, valid=valid[index % len(valid)], session=session)

    monkeypatch.setattr(self_check, "compare", compare)
    return seen


def test_false_claims_counts_claims_and_withheld_ones(monkeypatch):
    seen = faked(monkeypatch, ["none", "faster", "equivalent", "slower", "inconclusive"], valid=[True, False])
    told = []
    found = self_check.false_claims(10, seed=5, on_comparison=lambda *step: told.append(step))
    assert (found.n, found.claims, found.invalid, found.grade) == (10, 4, 5, "B")
    assert found.rate == 0.4
    assert found.interval.low < 0.4 < found.interval.high
    assert [seed for seed, *_ in seen] == list(range(5, 15))
    assert told == [(k, 10) for k in range(1, 11)]


def test_false_claims_ends_with_its_time(monkeypatch):
    faked(monkeypatch, ["none"])
    assert self_check.false_claims(10, limit_s=0.0).n == 1


def test_detection_counts_findings_bias_and_coverage(monkeypatch):
    seen = faked(monkeypatch, ["slower", "slower", "none", "faster"], ratio=1.07)
    found = self_check.detection(8, calls=(10, 11))
    assert (found.n, found.found, found.truth, found.covered) == (8, 4, 1.1, 0)
    assert found.bias_points == pytest.approx(-3)
    models = seen[0][2]
    assert (models["less"].times, models["more"].times) == (10, 11)


def test_extra_work_is_more_calls_and_nothing_else():
    model, images = self_check.tiny()
    calls = []
    model.register_forward_hook(lambda *_: calls.append(1))
    with torch.inference_mode():
        once, thrice = (self_check.Repeated(model.eval(), times)(images) for times in (1, 3))
    assert torch.equal(once, thrice)
    assert len(calls) == 4


def test_live_checks_run():
    claims = self_check.false_claims(2, budget_s=0.05)
    assert claims.n == 2
    assert claims.claims + claims.invalid <= 2
    found = self_check.detection(1, calls=(2, 32), budget_s=0.05)
    assert found.mean > 1  # sixteen times the work, however busy the machine
    known = self_check.precision(budget_s=0.1, calls=2)
    assert known.blocks >= 6
    assert known.reached or "inconclusive" in known.verdict or "slower" in known.verdict or "faster" in known.verdict
    assert 0 < self_check.harness_cost_s(50) < math.inf
