"""What must be alike before two records are set against each other, and what differs where it is not. Pure.

A latency: host, device, dtype, batch, threads, versions; a modelled memory: device type, dtype, batch, versions; an
accuracy: device type, dtype, versions; a count: none of these. All of them: the method, which is the hand-raised
version of every room that the number rests on, the counters of a count, the placement of a timing. Reports compare by
this rule, and runs take over by it what another results folder holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vitbench.declare.serialize import completed
from vitbench.records.record import Record

ROOMS = {"accuracy": ("models", "data", "train"), "tuning": ("models", "data", "train")}
MEASURED = ("models", "measure")
"""Rooms whose versions a kind's numbers rest on: of what is trained, and of everything else."""

SETTINGS = {
    "accuracy": ("device", "threads", "data", "train"),
    "memory": ("device", "dtype", "batch_size", "checkpoint_activations"),
    "cost": (),
}
CALLED = (
    "device", "dtype", "batch_size", "threads", "compile", "channels_last", "checkpoint_activations", "placement",
)  # fmt: skip
"""Settings that must match: by kind, and of everything that is timed. How long was measured is not among them."""

NOT_RUN = ("fvcore", "scipy")
"""Packages that take no part in a training or a timed call: the one counts, the other reads."""

SHOWN = 3
LONG = 60  # characters of a value in a sentence


@dataclass(frozen=True)
class Difference:
    """One thing that must match and does not."""

    what: str
    ours: Any
    theirs: Any

    def __str__(self) -> str:
        return f"{self.what} differs ({_short(self.ours)} against {_short(self.theirs)})"


def differences(ours: Any, theirs: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Where two settings that both name a thing differ in it: (dotted path, ours, theirs)."""
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        for key in [k for k in ours if k in theirs]:
            yield from differences(ours[key], theirs[key], f"{path}.{key}" if path else key)
    elif ours != theirs:
        yield path, ours, theirs


def unlike(
    first: Record,
    second: Record,
    environments: Mapping[str, Mapping[str, Any]],
    *,
    settings: bool = True,
    seconds: bool = False,
) -> list[Difference]:
    """Everything that must match between two records of one kind and does not.

    A thing that only one of them names is no difference: an older version may not have noted it.

    Args:
        first: the one.
        second: the other, of the same kind.
        environments: hash → body.
        settings: whether the settings are compared too; not those of one plan, where an axis may vary them.
        seconds: whether it is about how long something took, whatever the kind: then the machine must match too.
    """
    kind = first.kind.removesuffix("_control")
    if not settings and _made_alike(first, second):
        return list(_counters(first, second)) if kind == "cost" else []
    found: list[Difference] = []
    if settings:
        names = SETTINGS.get(kind, CALLED)
        ours, theirs = ({k: v for k, v in completed(r.settings).items() if k in names} for r in (first, second))
        found += [Difference(path, mine, other) for path, mine, other in differences(ours, theirs)]
    if kind != "cost" and first.environment != second.environment:
        bodies = [environments.get(r.environment) for r in (first, second)]
        if None in bodies:
            found.append(Difference("environment", first.environment, second.environment))
        else:
            what = "" if seconds else kind
            ours, theirs = (dict(_facts(what, first, body or {})) for body in bodies)
            found += [Difference(name, ours[name], theirs[name]) for name in ours if name in theirs]
    ours, theirs = (dict(_method(kind, r)) for r in (first, second))
    found += [Difference(name, ours[name], theirs[name]) for name in ours if name in theirs]
    apart = [d for d in found if d.ours != d.theirs]
    return [*apart, *_counters(first, second)] if kind == "cost" else apart


def _made_alike(first: Record, second: Record) -> bool:
    """Whether machine, code and placement are the very same: of most pairs that is all there is to say."""
    same = first.environment == second.environment and first.code == second.code
    return same and first.values.get("placement") == second.values.get("placement")


def sentence(found: Sequence[Difference]) -> str:
    """What differs: ``host differs (A against B), torch differs (2.12 against 2.13)``; of many the first few."""
    shown = [str(difference) for difference in found[:SHOWN]]
    more = len(found) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _facts(kind: str, record: Record, body: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What of an environment must match, as (name in a sentence, value)."""
    torch: Mapping[str, Any] = body.get("torch") or {}
    if kind not in {"accuracy", "tuning", "memory"}:
        yield "host", body.get("host")
        gpu: Mapping[str, Any] = torch.get("gpu") or {}
        on_gpu = record.settings.get("device") == "cuda"
        yield "device", gpu.get("name") if on_gpu else (body.get("cpu") or {}).get("model")
        yield "threads", body.get("threads")
        yield "instruction set", torch.get("cpu_capability")
        for name in ("cuda", "cudnn", "cudnn_benchmark", "tf32") if on_gpu else ():
            if name in gpu:
                yield name, gpu[name]
        if "attention" in torch:
            yield "attention backend", torch["attention"]
        yield "Python", body.get("python")
    for package, version in (body.get("packages") or {}).items():
        if package not in NOT_RUN:
            yield package, version


def _method(kind: str, record: Record) -> Iterator[tuple[str, Any]]:
    rooms: Mapping[str, Any] = record.code.get("rooms") or {}
    for room in ROOMS.get(kind, MEASURED):
        if room in rooms:
            yield f"version of the {room} room", rooms[room]
    if "placement" in record.values:
        yield "placement", record.values["placement"]


def _counters(first: Record, second: Record) -> Iterator[Difference]:
    """Counts by ways that have none in common."""
    ours, theirs = (list(r.values.get("methods") or {}) for r in (first, second))
    if ours and theirs and not set(ours) & set(theirs):
        yield Difference("counting method", ", ".join(ours), ", ".join(theirs))


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= LONG else f"{text[:LONG]} …"
