"""How each number was measured, in words; what the records can confirm (do the counters agree?) is read from them."""

from __future__ import annotations

from collections.abc import Mapping

from vitbench.report.phrases import span
from vitbench.tables.layout import si, significant
from vitbench.tables.study import Study

COUNTERS = {"closed_form": "the closed form", "torch_meta": "torch's counter on meta", "fvcore": "fvcore"}

MACS = "multiply-adds of convolutions, matrix products and attention for one image; FLOPs = 2 × MACs."
ACTIVATIONS = "elements put out by convolutions, matrix products and attention, scores included, for one image."
LATENCY = """
    one forward pass in inference mode on a fixed input. Variants are interleaved in one session and each call is kept.
    Absolute: the median of each block, then t on blocks. Against the baseline: the log-ratio of each mirrored cycle,
    Hodges–Lehmann over a block's cycles, mean over blocks, t on blocks."""
TRAIN_STEP = "forward, backward and optimiser together, timed the same way."
THROUGHPUT = """
    a run of its own: back-to-back calls in windows of seconds, variants interleaved; never batch size over latency."""
MEMORY = """
    modelled: the peak of all storages alive at once, tracked on fake tensors (parameters, gradients, optimiser state,
    activations). What kernels allocate inside themselves and what the allocator keeps is not in it."""
ACCURACY = """
    share of test images named correctly after the last epoch; nothing is selected on the test split. Compared seed by
    seed: t interval of the paired differences."""
VERDICTS = """
    Holm over all variants of one quantity. A difference: the interval at Holm's level excludes none. Equivalent: the
    90% interval lies inside the margin. No difference found: neither, and the smallest effect that would have been
    found with 80% power stands beside it. Fewer than 6 seeds: exploratory."""


def methods(study: Study) -> list[tuple[str, str]]:
    """Quantity → how it was measured."""
    rows = [
        ("Parameters", "all that the module holds, counted."),
        ("MACs and FLOPs", _counting(study)),
        ("Activations", ACTIVATIONS),
        ("Latency", LATENCY),
        ("Training step", TRAIN_STEP),
        ("Throughput", THROUGHPUT),
        ("Memory", MEMORY),
        ("Accuracy", ACCURACY),
        ("Verdicts", VERDICTS),
    ]
    return [(quantity, " ".join(text.split()) if "\n" in text else text) for quantity, text in rows]


def _counting(study: Study) -> str:
    """Which methods counted, and whether they agree."""
    records = study.of("cost")
    counted = [
        {
            COUNTERS.get(m, m): v["macs"] if isinstance(v, Mapping) else v
            for m, v in (r.values.get("methods") or {}).items()
        }
        for r in records
    ]
    known = list(dict.fromkeys(method for counts in counted for method in counts))
    if not known:
        return MACS
    ways = " and ".join(filter(None, (", ".join(known[:-1]), known[-1])))
    apart = [
        f"{record.variant} ({', '.join(f'{method} {si(macs)}' for method, macs in counts.items())})"
        for record, counts in zip(records, counted, strict=True)
        if len(set(counts.values())) > 1
    ]
    if apart:
        return f"{MACS} Counted by {ways}; they disagree on {'; '.join(apart)}."
    agree = "; they agree exactly on every variant" if len(known) > 1 else ""
    return f"{MACS} Counted by {ways}{agree}."


def throughput_note(study: Study) -> str:
    """How many windows a throughput is the mean of; nothing where it was not measured."""
    found = study.of("throughput")
    if not found:
        return ""
    windows = span(len(r.samples["rate"]["values"]) for r in found)
    return (
        f"Throughput: mean of {windows} windows of {significant(found[0].values.get('window_s', 0.0))} s, no interval."
    )
