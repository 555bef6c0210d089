"""How each number was measured, in words; what the records can confirm (do the counters agree?) is read from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vitbench.records.record import Record
from vitbench.report.energy import energy_method
from vitbench.report.memory import memory_method
from vitbench.report.phrases import first, span
from vitbench.tables.study import Study
from vitbench.utils.format import si, significant

COUNTERS = {"closed_form": "the closed form", "torch_meta": "torch's counter on meta", "fvcore": "fvcore"}

UNCOUNTED = " has no formula: the count leaves it out"
"""How a finding ends that names a product without a formula (``measure.flops``)."""

MACS = "multiply-adds of convolutions, matrix products and attention for one image; FLOPs = 2 × MACs."
ACTIVATIONS = "elements put out by convolutions, matrix products and attention, scores included, for one image."
LATENCY = """
    one forward pass in inference mode on a fixed input. Variants are interleaved in one session and each call is kept.
    Absolute: the median of each block, then t on blocks. Against the baseline: the log-ratio of each mirrored cycle,
    Hodges–Lehmann over a block's cycles, mean over blocks, t on blocks."""
TRAIN_STEP = "forward, backward and optimiser together, timed the same way."
PHASES = " Each phase is that of the calls which are the median of their block, so that the phases add up to the step."
THROUGHPUT = """
    a run of its own: back-to-back calls in windows of seconds, variants interleaved; never batch size over latency."""
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
        ("Training step", TRAIN_STEP + PHASES * any("backward" in r.samples for r in study.of("train_step"))),
        ("Throughput", THROUGHPUT),
        ("Memory", memory_method(study)),
        ("Accuracy", ACCURACY),
        ("Verdicts", VERDICTS),
    ]
    if (energy := energy_method(study)) is not None:
        rows.insert(-2, ("Energy", energy))
    return [(quantity, " ".join(text.split()) if "\n" in text else text) for quantity, text in rows]


def _counting(study: Study) -> str:
    """Which methods counted, whether they agree, and of whom the count is not complete."""
    records = study.of("cost")
    forward = [_methods(r, "macs") for r in records]
    known = list(dict.fromkeys(method for counts in forward for method in counts))
    if not known:
        return MACS
    said = [MACS, f"Counted by {_listed(known)}{_agreement(records, forward)}."]
    newer = [r for r in records if "macs_backward" in r.values]
    backward = [_methods(r, "macs_backward") for r in newer]
    ways = list(dict.fromkeys(method for counts in backward for method in counts))
    if ways:
        said.append(f"The backward pass by {_listed(ways)}{_agreement(newer, backward)}.")
    unseen = [f"{r.variant} ({', '.join(missing)})" for r in records if (missing := without_formula(r))]
    if unseen:
        said.append(f"Incomplete, a lower bound, for want of a formula: {'; '.join(first(unseen))}.")
    return " ".join(said)


def _methods(record: Record, what: str) -> dict[str, int]:
    """Method, in words → its count; a method that did not count this is not among them."""
    counts = {
        COUNTERS.get(method, method): count[what] if isinstance(count, Mapping) else count
        for method, count in (record.values.get("methods") or {}).items()
    }
    return {method: count for method, count in counts.items() if count is not None}


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _agreement(records: Sequence[Record], counted: Sequence[Mapping[str, int]]) -> str:
    """Whether the methods agree, as the end of a sentence."""
    apart = [
        f"{record.variant} ({', '.join(f'{method} {si(macs)}' for method, macs in counts.items())})"
        for record, counts in zip(records, counted, strict=True)
        if len(set(counts.values())) > 1
    ]
    if apart:
        return f"; they disagree on {'; '.join(first(apart))}"
    return "; they agree exactly on every variant" if max(map(len, counted)) > 1 else ""


def without_formula(record: Record) -> list[str]:
    """The products that an incomplete count leaves out, by their names in torch."""
    if record.values.get("complete") is not False:
        return []
    findings: Sequence[str] = record.values.get("findings") or []
    named = [finding.partition(UNCOUNTED)[0] for finding in findings if finding.endswith(UNCOUNTED)]
    return named or ["an operation that is not named"]


def throughput_note(study: Study) -> str:
    """How many windows a throughput is the mean of; nothing where it was not measured."""
    found = study.of("throughput")
    if not found:
        return ""
    windows = span(len(r.samples["rate"]["values"]) for r in found)
    of = f"{windows} windows of {significant(found[0].values.get('window_s', 0.0))} s"
    return f"Throughput: geometric mean of {of}, in brackets its 95% interval."
