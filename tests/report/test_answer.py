"""The sentences say what the verdicts say, for hand-made verdicts."""

import math

import pandas as pd

from vitbench.report.answer import answer
from vitbench.report.elements import Name, listed, plain

FIELDS = ["metric", "variant", "value", "n", "kind", "verdict"]
TEXTS = {
    "better": "better by 2.0 points [1.0, 3.0]",
    "worse": "worse by 2.0 points [1.0, 3.0]",
    "faster": "faster by 4.0% [3.0, 5.0]",
    "slower": "slower by 4.0% [3.0, 5.0]",
    "equivalent": "equivalent within ±1% [−0.4, +0.6]",
    "none": "no difference found; smallest effect detectable 1.8 points",
    "inconclusive": "inconclusive: budget ended at ±3.4% (target ±2%)",
    "invalid": "INVALID: A/A control failed",
    "untested": "no difference in each of 6 seeds; without spread, no test",
    "exploratory": "exploratory: 3 seeds, +0.2 points, [−1.0, +1.4]; a verdict takes 6",
    "not_measured": "not measured: skipped, it cannot be",
}


def sentences(accuracy, latency, *, baseline="base"):
    """The answer to so many verdicts, variants named a, b, c …"""
    rows = [
        (metric, name, 0.01 * (i + 1), 3 if kind == "exploratory" else 6, kind, TEXTS[kind])
        for metric, kinds in (("accuracy", accuracy), ("latency_ms", latency))
        for i, (name, kind) in enumerate(zip("abcdefghijkl", kinds, strict=False))
    ]
    table = pd.DataFrame({"variant": [baseline], "accuracy": [0.9], "accuracy_low": [0.88], "accuracy_high": [0.92]})
    return [plain(s) for s in answer(table, pd.DataFrame(rows, columns=FIELDS), baseline=baseline)]


def test_each_group_is_one_clause():
    accuracy, latency, both = sentences(["worse", "none", "none"], ["slower", "faster", "equivalent"])
    assert accuracy == (
        "In accuracy, against the baseline base (90.0% [88.0, 92.0]), a is worse by 2.0 points [1.0, 3.0]; no "
        "difference was found for b (smallest effect detectable 1.8 points) and c (smallest effect detectable 1.8 "
        "points)."
    )
    assert latency == (
        "In latency, against the baseline base, b is faster by 4.0% [3.0, 5.0]; a is slower by 4.0% [3.0, 5.0]; "
        "c is equivalent within ±1% [−0.4, +0.6]."
    )
    assert both == "No variant improves accuracy or latency without losing the other."


def test_a_gain_without_a_price_needs_two_verdicts():
    *_, both = sentences(["better", "better", "better", "equivalent"], ["none", "equivalent", "faster", "faster"])
    assert both == (
        "Improved at no cost: c is better and faster; b is better at equivalent latency; "
        "d is faster at equivalent accuracy."
    )


def test_many_are_counted_and_the_extremes_named():
    accuracy, latency, _ = sentences(
        ["better"] * 8 + ["none"] * 3, ["slower"] * 8 + ["equivalent"] * 3, baseline="baseline"
    )
    assert accuracy == (
        "In accuracy, against the baseline (90.0% [88.0, 92.0]), 8 of 11 variants are better, by 2.0 points "
        "[1.0, 3.0] (a) to 2.0 points [1.0, 3.0] (h); 3 of 11 variants show no difference."
    )
    assert latency.endswith("3 of 11 variants are equivalent within ±1%.")


def test_what_decides_nothing_says_so():
    accuracy, latency = sentences(["exploratory", "exploratory"], ["invalid", "invalid"])
    assert "there is no verdict for a and b: only 3 seeds in common (a verdict needs 6)" in accuracy
    assert "there is no verdict: the A/A control found a difference between the baseline and its own clone" in latency


def test_what_was_not_compared_is_named_once():
    found = sentences(["worse", "not_measured"], ["slower", "not_measured"])
    assert sum("b could not be compared" in s for s in found) == 1


def test_without_any_comparison_there_is_no_answer():
    assert sentences([], []) == ["Nothing has been compared yet, so there is no answer."]
    assert sentences(["not_measured"], ["not_measured"])[0].startswith("Nothing has been compared")


def test_without_accuracy_the_latency_still_answers():
    table = pd.DataFrame({"variant": ["base"], "accuracy": [math.nan]})
    rows = [
        ("accuracy", "a", math.nan, 0, "not_measured", TEXTS["not_measured"]),
        ("latency_ms", "a", 1.04, 12, "slower", TEXTS["slower"]),
    ]
    (only,) = answer(table, pd.DataFrame(rows, columns=FIELDS), baseline="base")
    assert plain(only) == "In latency, against the baseline base, a is slower by 4.0% [3.0, 5.0]."
    assert Name("a") in only
    assert any(isinstance(part, Name) for part in only)


def test_lists_in_words():
    assert ["".join(listed([(x,) for x in "abc"[:n]])) for n in range(4)] == ["", "a", "a and b", "a, b and c"]


def test_a_variant_whose_latency_is_another_ones_gains_nothing_there():
    """Rows that differ in their images alone have accuracy to compare and no latency of their own (data_scaling)."""
    told = " ".join(sentences(["equivalent", "worse"], ["faster"]))
    assert "faster at equivalent accuracy" in told
    assert "faster" not in " ".join(sentences(["worse", "equivalent"], ["slower"]))
