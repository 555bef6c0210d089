"""The self-checks run, count what they say they count, and miss no claim; how a machine fares is not asserted."""

from __future__ import annotations

import math
from types import SimpleNamespace

import torch

from tests.bench import timing_method
from vitbench.doctor import self_check


def fake_comparisons(monkeypatch, kinds, valid):
    """Comparisons whose verdicts are these, in turn."""
    seen = []

    def compare(models, images, *, baseline, seed, **settings):
        index = len(seen)
        seen.append(seed)
        (other,) = models.keys() - {baseline}
        assert models[other] is models[baseline]
        ratio = SimpleNamespace(verdict=SimpleNamespace(kind=kinds[index % len(kinds)]))
        session = SimpleNamespace(cpu_share=1.0, pressure=0.1)
        return SimpleNamespace(ratios={other: ratio}, valid=valid[index % len(valid)], session=session)

    monkeypatch.setattr(self_check, "compare", compare)
    return seen


def test_false_claims_counts_claims_and_missing_verdicts(monkeypatch):
    kinds = ["none", "faster", "equivalent", "slower", "inconclusive"]
    seen = fake_comparisons(monkeypatch, kinds, valid=[True, False])
    told = []
    found = self_check.false_claims(10, seed=5, on_comparison=lambda *step: told.append(step))
    assert (found.n, found.claims, found.invalid, found.grade) == (10, 4, 5, "B")
    assert found.rate == 0.4
    assert found.interval.low < 0.4 < found.interval.high
    assert seen == list(range(5, 15))
    assert told == [(k, 10) for k in range(1, 11)]


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
    known = timing_method.precision(budget_s=0.1, calls=2)
    assert known["blocks"] >= 6
    assert known["half_width"] > 0
    assert known["half_width"] <= 0.01 or any(k in known["verdict"] for k in ("inconclusive", "slower", "faster"))
    assert 0 < timing_method.harness_cost_s(50) < math.inf


def test_twenty_comparisons_on_a_steady_clock_claim_little(monkeypatch):
    """A small version of the nightly check, independent of this machine's load: a virtual clock with noise of 2 %."""
    generator = torch.Generator().manual_seed(1)
    now = [0.0]

    class Model(torch.nn.Module):
        def forward(self, x):
            now[0] += 5e-4 * float(1 + 0.02 * torch.randn((), generator=generator))
            return x

    real = self_check.compare
    monkeypatch.setattr(self_check, "tiny", lambda: (Model(), torch.zeros(1, 1)))
    monkeypatch.setattr(self_check, "compare", lambda *args, **rest: real(*args, timer=lambda: now[0], **rest))
    found = self_check.false_claims(20)
    assert found.n == 20
    assert found.claims <= 5  # at a rate of 5 %, more than 5 of 20 happen in 3 of 10,000 runs
