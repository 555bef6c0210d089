"""Match the cost of one model to another's: ``match(vit, to=resnet)`` is the ViT with as many MACs as the ResNet.

A comparison at unequal cost says little, because the larger model tends to win. It must also say which cost is equal:
parameters, MACs, memory and latency disagree (Dehghani et al. 2021, "The Efficiency Misnomer"), so each can be matched.

``vary`` names the settings in the order in which they give way. The first takes the size that comes nearest; a later
one changes only where the first finds nothing within the tolerance, and then as little as possible. So a ViT grows in
width before it grows in depth, as DeiT's tiny, small and base do.
Parameters, MACs and memory are exact and found by search. A latency is searched by MACs, timed against the other model
in sessions (``session``), and confirmed in further sessions that had no part in the choice.
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

from vitbench.declare.measure import MeasureConfig
from vitbench.declare.model import ModelConfig
from vitbench.devices import resolve_device
from vitbench.measure.counts.closed_form import closed_form
from vitbench.measure.counts.flops import count
from vitbench.measure.matching.equal_latency import Pairing, pair_by_latency
from vitbench.measure.matching.size_candidates import size_candidates, sizes_of
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
    """The config that was found, and how near its cost is to the target."""

    config: ModelConfig
    value: float  # its cost; a latency is NaN at noise grade D, where only the ratio can be trusted
    target: float  # the cost that was to be matched
    ratio: float  # value ÷ target
    within: bool  # whether the ratio is within the tolerance; if not, no size comes nearer
    tried: int  # configs whose cost was computed
    on: Metric
    tolerance: float
    changed: tuple[tuple[str, Any, Any], ...]  # field, before, after
    interval: Interval | None = None  # 95 % interval of a latency ratio, from the sessions that confirmed it
    note: str = ""

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
    """A config like ``config`` that costs as much as ``to``.

    Args:
        config: the model to vary, in the settings named; everything else stays.
        to: the model whose cost is to be matched, of any family.
        on: ``macs`` or ``params`` (of one image, exact), ``peak_memory_training_mib`` (modelled, exact, at the
            settings' batch size), ``latency_ms`` (of one forward pass; timed, so it belongs to this machine).
        vary: settings in the order in which they give way: of a ViT ``embed_dim`` (keeps ``num_heads``) or
            ``num_heads`` (keeps the size of a head), and ``depth``; of a ResNet ``width`` and ``layers``. None: the
            usual ones, width first. ``size_candidates`` returns their sizes.
        tolerance: largest deviation of value ÷ target from 1; None: 0.02, of a latency 0.05.
        settings: batch size, dtype, threads and the rest, for memory and latency; None: the defaults.
        device: for latency: ``auto``, ``cpu`` or ``cuda``.
        budget_s: seconds of a timing session, but six short blocks are timed however long they take.
        seed: of the timing sessions; nothing else is random.

    Raises:
        UserError: a model whose size cannot vary, no such metric, nothing to vary, or no such setting.
    """
    if on not in METRICS:
        raise UserError(unknown("cost to match on", on, METRICS))
    for argument, model in (("config", config), ("to", to)):
        if not isinstance(model, ModelConfig):
            raise UserError(f"{argument}={model!r} is not a config: give one, such as {argument}=zoo('resnet50')")
    allowed = tolerance if tolerance is not None else LATENCY_TOLERANCE if on == "latency_ms" else TOLERANCE
    if not 0 <= allowed < 1:
        raise UserError(f"tolerance={tolerance!r} is not possible: it takes 0 up to, not including, 1")
    settings = settings or MeasureConfig()
    candidates = size_candidates(config, vary)
    if on == "latency_ms":
        by_macs = Search(config, candidates, _macs)
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
        search = Search(config, candidates, cost)
        target = cost(to)
        if not target > 0:
            raise UserError(f"the model to match has {target:g} {on}: there is nothing to match")
        found = search.nearest(target, allowed)
        value, interval, note, tried = exact(found), None, "", search.tried
        ratio = value / target
        within = abs(ratio - 1) <= allowed
    return Match(found, value, target, ratio, within, tried, on, allowed, _changed(config, found), interval, note)


def _changed(before: ModelConfig, after: ModelConfig) -> tuple[tuple[str, Any, Any], ...]:
    names = [field.name for field in dataclasses.fields(before)]
    pairs = [(name, getattr(before, name), getattr(after, name)) for name in names]
    return tuple((name, old, new) for name, old, new in pairs if old != new)


def _macs(config: ModelConfig) -> float:
    """By arithmetic; where the family has no closed form, by ``count``."""
    form = closed_form(config)
    return count(config).macs if form is None else form.macs


def _counted_macs(config: ModelConfig) -> float:
    """Counted on the model itself, without its data: one of the methods of ``count``, and the fastest."""
    with torch.no_grad(), torch.device("meta"), FlopCounterMode(display=False) as counter:
        module_of(config).eval()(*arguments(config, None, 1, "meta"))
    flops: int = counter.get_total_flops()
    return flops // 2


def _counted_params(config: ModelConfig) -> float:
    return sum(parameter.numel() for parameter in module_of(config).parameters())


def _params(config: ModelConfig) -> float:
    """As counted, but extrapolated from the shortest models: blocks of a stage after its first are equally large."""
    sizes = sizes_of(config)
    if sizes is None or sizes.blocks is None or sizes.with_blocks is None:
        return _counted_params(config)
    blocks = sizes.blocks(config)
    ones = (1,) * len(blocks)
    shortest = total = _counted_params(sizes.with_blocks(config, ones))
    for stage, number in enumerate(blocks):
        if number > 1:
            longer = _counted_params(sizes.with_blocks(config, (*ones[:stage], 2, *ones[stage + 1 :])))
            total += (number - 1) * (longer - shortest)
    return total


def _memory(settings: MeasureConfig) -> Callable[[ModelConfig], float]:
    @functools.cache
    def mebibytes(config: ModelConfig) -> float:
        model, example = modelled(config, settings, training=True)
        return memory(model, batch_size=settings.batch_size, training=True, example=example).bytes / MIB

    return mebibytes


Costs: TypeAlias = tuple[Callable[[ModelConfig], float], Callable[[ModelConfig], float]]
"""The cost that the search uses, and the one that confirms its result."""


def _memories(settings: MeasureConfig) -> Costs:
    mebibytes = _memory(settings)
    return mebibytes, mebibytes


_COSTS: dict[str, Callable[[MeasureConfig], Costs]] = {
    "macs": lambda _: (_macs, _counted_macs),
    "params": lambda _: (_params, _counted_params),
    "peak_memory_training_mib": _memories,
}
