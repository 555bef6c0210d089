"""What must match before two records are compared, and what does not. Pure functions.

What must match is declared by each quantity (``must_match``, ``components``): the host for a latency, only the versions
of packages for an accuracy, neither for a count. The method must match too: the versions of the components that the
number rests on, the counters of a count, the placement of a timing. Reports compare by this rule, and runs reuse the
records of other results folders by it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vitbench.declare.quantities import Quantity
from vitbench.declare.serialize import with_defaults
from vitbench.records.record import Record

NOT_RUN = ("fvcore", "scipy")
"""Packages that take no part in a training or a timed call: one counts, the other evaluates."""

SHOWN = 3
LONG = 60  # characters of a value in a sentence


@dataclass(frozen=True)
class Mismatch:
    """Something that must match and does not, with both values."""

    name: str
    ours: Any
    theirs: Any

    def __str__(self) -> str:
        return f"{self.name} differs ({_short(self.ours)} against {_short(self.theirs)})"


def differences(ours: Any, theirs: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(dotted path, our value, their value) for each setting that both mappings have and in which they differ."""
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        for key in [k for k in ours if k in theirs]:
            yield from differences(ours[key], theirs[key], f"{path}.{key}" if path else key)
    elif ours != theirs:
        yield path, ours, theirs


def mismatches(
    quantity: Quantity,
    first: Record,
    second: Record,
    environments: Mapping[str, Mapping[str, Any]],
    *,
    settings: bool = True,
    seconds: bool = False,
) -> list[Mismatch]:
    """Everything that must match between two records of a quantity and does not.

    What only one of the two records names is no mismatch.

    Args:
        quantity: that both records measure.
        first: one record.
        second: the other record.
        environments: hash → body.
        settings: whether settings are compared. Not within one plan, where an axis may vary them.
        seconds: whether the comparison is about time, whatever the quantity: then the host must match too.
    """
    found: list[Mismatch] = []
    if settings:
        names = set(quantity.must_match)
        ours, theirs = ({k: v for k, v in with_defaults(r.settings).items() if k in names} for r in (first, second))
        found += [Mismatch(path, mine, other) for path, mine, other in differences(ours, theirs)]
    if first.environment != second.environment:
        found += _environment_mismatches(quantity, first, second, environments, seconds=seconds)
    if first.code != second.code:
        versions = ((record.code.get("components") or {}) for record in (first, second))
        mine, other = ({name: own[name] for name in quantity.components if name in own} for own in versions)
        found += [Mismatch(f"version of {name}", *pair) for name, *pair in differences(mine, other)]
    placements = [record.values.get("placement") for record in (first, second)]
    if None not in placements and placements[0] != placements[1]:
        found.append(Mismatch("placement", *placements))
    counters = [list(record.values.get("methods") or {}) for record in (first, second)]
    if all(counters) and not set(counters[0]) & set(counters[1]):
        found.append(Mismatch("counting method", *map(", ".join, counters)))
    return found


def _environment_mismatches(
    quantity: Quantity,
    first: Record,
    second: Record,
    environments: Mapping[str, Mapping[str, Any]],
    *,
    seconds: bool,
) -> Iterator[Mismatch]:
    """The facts about the two machines that must match and do not."""
    host, packages = seconds or "host" in quantity.must_match, seconds or "packages" in quantity.must_match
    if not host and not packages:
        return
    bodies = [environments.get(record.environment) for record in (first, second)]
    if None in bodies:
        yield Mismatch("environment", first.environment, second.environment)
        return
    ours, theirs = (
        {**(dict(_host(record, body or {})) if host else {}), **(dict(_packages(body or {})) if packages else {})}
        for record, body in zip((first, second), bodies, strict=True)
    )
    for name, mine in ours.items():
        if name in theirs and mine != theirs[name]:
            yield Mismatch(name, mine, theirs[name])


def describe(found: Sequence[Mismatch]) -> str:
    """What differs: ``host differs (A against B), torch differs (2.12 against 2.13)``; of many the first few."""
    shown = [str(mismatch) for mismatch in found[:SHOWN]]
    more = len(found) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _host(record: Record, body: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The facts about a machine that a time depends on, each with its name in a sentence."""
    torch: Mapping[str, Any] = body.get("torch") or {}
    gpu: Mapping[str, Any] = torch.get("gpu") or {}
    on_gpu = record.settings.get("device") == "cuda"
    yield "host", body.get("host")
    yield "device", gpu.get("name") if on_gpu else (body.get("cpu") or {}).get("model")
    yield "threads", body.get("threads")
    yield "instruction set", torch.get("cpu_capability")
    for name in ("cuda", "cudnn", "cudnn_benchmark", "tf32") if on_gpu else ():
        if name in gpu:
            yield name, gpu[name]
    if "attention" in torch:
        yield "attention backend", torch["attention"]
    yield "Python", body.get("python")


def _packages(body: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The versions that a number depends on."""
    return ((name, version) for name, version in (body.get("packages") or {}).items() if name not in NOT_RUN)


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= LONG else f"{text[:LONG]} …"
