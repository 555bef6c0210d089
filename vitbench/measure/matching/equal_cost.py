"""A config of another's cost: ``match(vit, to=resnet)`` gives the ViT that takes as many multiply-adds as the ResNet.

A comparison at unequal cost says little: the larger model tends to win. What is equal must be said, too: parameters,
MACs, memory and latency disagree (Dehghani et al. 2021, "The Efficiency Misnomer"), so each can be matched by itself.

``vary`` names the knobs in the order in which they give way. The first takes the size that comes nearest; a later one
leaves its own only where the first finds nothing within the tolerance, and then as little as will do. So a ViT grows in
width before it grows in depth, as DeiT's tiny, small and base do.
Parameters, MACs and memory are exact and found by search. A latency is searched by MACs, timed against the other model
in sessions (``session``), and confirmed in others that had no part in the choice.
"""

# torch leaves its counter untyped:
# mypy: allow-untyped-calls

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch.utils.flop_counter import FlopCounterMode

from vitbench.declare.external import ExternalConfig
from vitbench.declare.measure import MeasureConfig
from vitbench.declare.model import ModelConfig
from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.vit import ViTConfig
from vitbench.devices import resolve_device
from vitbench.measure.counts.closed_form import closed_form
from vitbench.measure.counts.flops import count
from vitbench.measure.matching.equal_latency import Pairing, pair_by_latency
from vitbench.measure.matching.size_candidates import Sized, ladders
from vitbench.measure.matching.size_search import Search
from vitbench.measure.meta_copy import arguments, module_of
from vitbench.measure.peak_memory.modelled import memory
from vitbench.measure.prepare import modelled
from vitbench.stats import Interval
from vitbench.utils.errors import UserError, unknown

Metric: TypeAlias = Literal["macs", "params", "latency_ms", "peak_memory_training_mib"]
METRICS: tuple[str, ...] = get_args(Metric)

TOLERANCE = 0.02
LATENCY_TOLERANCE = 0.05
MIB = 2**20


@dataclass(frozen=True)
class Match:
    """The config that was found, and how near it comes."""

    config: Sized
    value: float  # of `on`; a latency is NaN at noise grade D, where only the ratio stands
    target: float  # the same of what was to be matched
    ratio: float  # value ÷ target
    within: bool  # whether it deviates from 1 by the tolerance at most; if not, nothing nearer was found
    tried: int  # configs whose cost was looked at
    on: Metric
    tolerance: float
    changed: tuple[tuple[str, Any, Any], ...]  # field, before, after
    interval: Interval | None = None  # of a latency's ratio, 95 %, from the sessions that confirmed it
    note: str = ""  # what else must be known

    def __str__(self) -> str:
        changes = ", ".join(f"{name} {before} → {after}" for name, before, after in self.changed) or "nothing changed"
        sizes = "" if math.isnan(self.value) else f"{self.value:,.6g} for {self.target:,.6g}, "
        bounds = "" if self.interval is None else f" [{self.interval.low:.3f}, {self.interval.high:.3f}]"
        verdict = f"{'within' if self.within else 'NOT within'} ±{100 * self.tolerance:g} %"
        nearest = "" if self.within else ", the nearest possible"
        said = f"{changes}: {self.on} {sizes}ratio {self.ratio:.4f}{bounds}, {verdict}{nearest}"
        return f"{said}; {self.note}" if self.note else said


def match(
    config: ModelConfig,
    to: ModelConfig,
    on: Metric = "macs",
    vary: Sequence[str] | None = None,
    *,
    tolerance: float | None = None,
    settings: MeasureConfig | None = None,
    device: str = "cpu",
    budget_s: float = 10.0,
    seed: int = 0,
) -> Match:
    """The config like ``config`` that costs as much as ``to``.

    Args:
        config: what is varied, in the knobs named; all else stays.
        to: what it is to cost as much as: any config, of whatever kind.
        on: ``macs`` or ``params`` (of one image, exact), ``peak_memory_training_mib`` (modelled, exact, at the
            settings' batch size), ``latency_ms`` (of one forward pass; timed, so it belongs to this machine).
        vary: knobs in the order in which they give way. Of a ViT ``embed_dim`` (keeps ``num_heads``) or ``num_heads``
            (keeps the size of a head), and ``depth``; of a ResNet ``width`` and ``layers``. None: both, width first.
            ``ladders`` says which sizes they take.
        tolerance: largest deviation of value ÷ target from 1; None: 0.02, of a latency 0.05.
        settings: batch size, dtype, threads and the rest, for memory and latency; None: the defaults.
        device: of the latency: ``auto``, ``cpu`` or ``cuda``.
        budget_s: seconds of a timing session, but six short blocks are timed however long they take.
        seed: of the timing sessions; nothing else is drawn.

    Raises:
        UserError: an external config to vary, no such metric, nothing to vary, or a knob that this config has not.
    """
    if on not in METRICS:
        raise UserError(unknown("cost to match on", on, METRICS))
    if not isinstance(config, (ViTConfig, ResNetConfig)):
        what = getattr(config, "source", repr(config))
        raise UserError(f"{what} has no knobs to vary: give a ViTConfig or ResNetConfig, and this one as to=")
    if not isinstance(to, get_args(ModelConfig)):
        raise UserError(f"to={to!r} is no config: give one, such as to=zoo('resnet50')")
    allowed = tolerance if tolerance is not None else LATENCY_TOLERANCE if on == "latency_ms" else TOLERANCE
    if not 0 <= allowed < 1:
        raise UserError(f"tolerance={tolerance!r} is not possible: it takes 0 up to, not including, 1")
    settings = settings or MeasureConfig()
    steps = ladders(config, vary)
    if on == "latency_ms":
        by_macs = Search(config, steps, _macs)
        timed = pair_by_latency(
            by_macs.nearest,
            _macs,
            Pairing(to, settings, resolve_device(device), budget_s, seed),
            first=_macs(to),
            tolerance=allowed,
        )
        found, value, target, interval = timed.config, timed.found.value_ms, timed.found.target_ms, timed.found.ratio
        ratio, within, note, tried = interval.value, timed.within, timed.note, by_macs.tried
    else:
        cost, exact = _COSTS[on](settings)
        search = Search(config, steps, cost)
        target = cost(to)
        if not target > 0:
            raise UserError(f"what is to be matched has {target:g} {on}: there is nothing to match")
        found = search.nearest(target, allowed)
        value, interval, note, tried = exact(found), None, "", search.tried
        ratio = value / target
        within = abs(ratio - 1) <= allowed
    return Match(found, value, target, ratio, within, tried, on, allowed, _changed(config, found), interval, note)


def _changed(before: Sized, after: Sized) -> tuple[tuple[str, Any, Any], ...]:
    names = [field.name for field in dataclasses.fields(before)]
    pairs = [(name, getattr(before, name), getattr(after, name)) for name in names]
    return tuple((name, old, new) for name, old, new in pairs if old != new)


def _macs(config: ModelConfig) -> float:
    """By arithmetic, or of somebody else's model by ``count``."""
    return count(config).macs if isinstance(config, ExternalConfig) else closed_form(config).macs


def _counted_macs(config: Sized) -> float:
    """Of the model itself, without its data; one of the ways of ``count``, and the quickest."""
    with torch.no_grad(), torch.device("meta"), FlopCounterMode(display=False) as counter:
        module_of(config).eval()(*arguments(config, None, 1, "meta"))
    flops: int = counter.get_total_flops()
    return flops // 2


def _counted_params(config: ModelConfig) -> float:
    return sum(parameter.numel() for parameter in module_of(config).parameters())


def _params(config: ModelConfig) -> float:
    """As counted, but from the shortest models of this width: each block of a stage after its first has as many."""
    if isinstance(config, ExternalConfig):
        return _counted_params(config)
    stages = (config.depth,) if isinstance(config, ViTConfig) else config.stages[1]
    ones = (1,) * len(stages)
    shortest = total = _counted_params(_with_stages(config, ones))
    for stage, blocks in enumerate(stages):
        if blocks > 1:
            longer = _counted_params(_with_stages(config, (*ones[:stage], 2, *ones[stage + 1 :])))
            total += (blocks - 1) * (longer - shortest)
    return total


def _with_stages(config: Sized, stages: tuple[int, ...]) -> Sized:
    if isinstance(config, ViTConfig):
        return dataclasses.replace(config, depth=stages[0])
    return dataclasses.replace(config, depth=None, layers=stages, block=config.stages[0])


def _memory(settings: MeasureConfig) -> Callable[[ModelConfig], float]:
    @functools.cache
    def mebibytes(config: ModelConfig) -> float:
        model, example = modelled(config, settings, training=True)
        return memory(model, batch_size=settings.batch_size, training=True, example=example).bytes / MIB

    return mebibytes


Costs: TypeAlias = tuple[Callable[[ModelConfig], float], Callable[[Sized], float]]
"""What the search goes by, and what confirms its find."""


def _memories(settings: MeasureConfig) -> Costs:
    mebibytes = _memory(settings)
    return mebibytes, mebibytes


_COSTS: dict[str, Callable[[MeasureConfig], Costs]] = {
    "macs": lambda _: (_macs, _counted_macs),
    "params": lambda _: (_params, _counted_params),
    "peak_memory_training_mib": _memories,
}
