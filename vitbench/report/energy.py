"""What a report says of energy: how joules were counted, or why they were not."""

from __future__ import annotations

from vitbench.report.phrases import span
from vitbench.tables.study import Study

COUNTED = """
    joules per image: the counter's rise over a window of back-to-back calls of {seconds}s or more ÷ its images, mean
    over {windows} windows, no interval; {source}. It counts the whole device, idling and other work included."""


def energy_method(study: Study) -> str | None:
    """One sentence; None where the records know nothing of energy."""
    known = [record for record in study.of("throughput") if record.values.get("energy")]
    if not known:
        return None
    counted = [record for record in known if "energy" in record.samples]
    if counted:
        said = COUNTED.format(
            seconds=span(int(record.values["window_s"]) for record in counted) + " ",
            windows=span(len(record.samples["energy"]["values"]) for record in counted),
            source="; ".join(dict.fromkeys(_one(record.values["energy"], "source") for record in counted)),
        )
        return " ".join(said.split())
    reasons = dict.fromkeys(_one(record.values["energy"], "reason") for record in known)
    return f"not measured: {'; '.join(reasons)}."


def _one(energy: object, key: str) -> str:
    """What a record says; of several processes that say different things, all of it."""
    each = energy if isinstance(energy, list) else [energy]
    return "; ".join(dict.fromkeys(str(one[key]) for one in each if isinstance(one, dict) and key in one))
