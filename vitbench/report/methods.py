"""How each number was measured; what the records can confirm, such as whether the counters agree, is read from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vitbench.records.record import Record
from vitbench.report.elements import first, listed, plain, prose, span
from vitbench.report.memory_differences import memory_method
from vitbench.tables.study import Study
from vitbench.utils.format import si, significant

COUNTERS = {"closed_form": "the closed form", "torch_meta": "torch's counter on meta", "fvcore": "fvcore"}

UNCOUNTED = " has no formula: the count leaves it out"
"""The end of a finding about a product without a formula (``measure.counts.flops``)."""

MACS = "multiply-adds of convolutions, matrix products and attention for one image; FLOPs = 2 × MACs."
ACTIVATIONS = "output elements of convolutions, matrix products and attention, scores included, for one image."
LATENCY = """
    one forward pass in inference mode on a fixed input. The variants are interleaved in one session and every call is
    kept. Absolute latency: the median of each block, then a t interval over blocks. Against the baseline: the log-ratio
    of each mirrored cycle, Hodges–Lehmann over the cycles of a block, then a t interval over blocks."""
TRAIN_STEP = "forward, backward and optimizer together, timed in the same way."
PHASES = " Phase times come from the median call of each block, so the phases add up to the step."
THROUGHPUT = """
    measured in a run of its own: back-to-back calls in windows of seconds, variants interleaved. It is never computed
    as batch size over latency."""
ENERGY = """
    joules per image: the rise of the counter over a window of back-to-back calls of at least {seconds} s, divided by
    the images of the window; mean over {windows} windows, no interval. Source: {source}. The counter covers the whole
    device, including idle power and other work."""
ACCURACY = """
    share of test images classified correctly after the last epoch. Nothing is selected on the test split. Variants are
    compared seed by seed, with a t interval of the paired differences."""
VERDICTS = """
    Holm's procedure covers all variants of one quantity. Better, worse, faster, slower: the interval at Holm's level
    excludes no difference. Equivalent: the 90% interval lies inside the margin. No difference found: neither; the
    verdict gives the smallest effect that the test detects with 80% power. Exploratory: fewer than 6 seeds."""


def methods(study: Study) -> list[tuple[str, str]]:
    """Quantity and how it was measured."""
    energy = _energy(study)
    phases = any("backward" in record.samples for record in study.of("train_step"))
    rows = [
        ("Parameters", "all parameters of the module, counted."),
        ("MACs and FLOPs", _counting(study)),
        ("Activations", ACTIVATIONS),
        ("Latency", LATENCY),
        ("Training step", TRAIN_STEP + PHASES * phases),
        ("Throughput", THROUGHPUT),
        ("Memory", memory_method(study)),
        *([("Energy", energy)] if energy else []),
        ("Accuracy", ACCURACY),
        ("Verdicts", VERDICTS),
    ]
    return [(quantity, prose(text) if "\n" in text else text) for quantity, text in rows]


def _counting(study: Study) -> str:
    """Which methods counted, whether they agree, and which counts are incomplete."""
    records = study.of("cost")
    said = [MACS]
    for field, opening in (("macs", "Counted by"), ("macs_backward", "The backward pass is counted by")):
        counts = [_methods(record, field) for record in records]
        ways = list(dict.fromkeys(method for own in counts for method in own))
        if ways:
            said.append(f"{opening} {plain(listed([(way,) for way in ways]))}{_agreement(records, counts)}.")
    unseen = [f"{r.variant} ({', '.join(missing)})" for r in records if (missing := without_formula(r))]
    if unseen:
        said.append(f"Incomplete, a lower bound, because operations have no formula: {'; '.join(first(unseen))}.")
    return " ".join(said)


def _methods(record: Record, field: str) -> dict[str, int]:
    """Method → its count; a method that does not count this is left out."""
    counts = {
        COUNTERS.get(method, method): count[field] if isinstance(count, Mapping) else count
        for method, count in (record.values.get("methods") or {}).items()
    }
    return {method: count for method, count in counts.items() if count is not None}


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
    """The operations that an incomplete count leaves out, by their names in torch."""
    if record.values.get("complete") is not False:
        return []
    findings: Sequence[str] = record.values.get("findings") or []
    named = [finding.partition(UNCOUNTED)[0] for finding in findings if finding.endswith(UNCOUNTED)]
    return named or ["an unnamed operation"]


def throughput_note(study: Study) -> str:
    """How many windows a throughput rests on; empty where it was not measured."""
    found = study.of("throughput")
    if not found:
        return ""
    windows = span(len(r.samples["rate"]["values"]) for r in found)
    of = f"{windows} windows of {significant(found[0].values.get('window_s', 0.0))} s"
    return f"Throughput: geometric mean of {of}, in brackets its 95% interval."


def _energy(study: Study) -> str:
    """How energy was measured, or why it was not; empty where no record mentions it."""
    known = [record for record in study.of("throughput") if record.values.get("energy")]
    found = [record for record in known if "energy" in record.samples]
    if found:
        return ENERGY.format(
            seconds=span(int(record.values["window_s"]) for record in found),
            windows=span(len(record.samples["energy"]["values"]) for record in found),
            source=_distinct(found, "source"),
        )
    return f"not measured: {_distinct(known, 'reason')}." if known else ""


def _distinct(records: Sequence[Record], key: str) -> str:
    """The different values of a key of the energy entries; each of several processes has an entry."""
    entries = [record.values["energy"] for record in records]
    each = [one for entry in entries for one in (entry if isinstance(entry, list) else [entry])]
    return "; ".join(dict.fromkeys(str(one[key]) for one in each if isinstance(one, dict) and key in one))
