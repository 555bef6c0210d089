"""Match the latency of two configs: a search by MACs, judged by sessions that time both configs together.

A session decides by its ratio, which is reliable on a busy machine where absolute times are not. To stop at the first
session that shows a ratio near 1 would also select for luck. So a config that looks right is timed again, with other
seeds, and only these later sessions, all together, say how near it is. They continue until their interval is narrower
than the tolerance to either side, or until ``SESSIONS`` have been run.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vitbench.declare.measure import MeasureConfig
from vitbench.declare.model import ModelConfig
from vitbench.measure.prepare import prepared
from vitbench.measure.timing.latency import Comparison, scope_of
from vitbench.measure.timing.session import run_session
from vitbench.measure.timing.subject import Subject
from vitbench.stats import Interval, ratio_interval
from vitbench.stats.estimates import FloatArray
from vitbench.utils.threads import torch_threads

SESSIONS = 8
"""The most sessions of one search, including those that confirm its result."""

MINIMUM_BLOCKS = 6
POWER, POWER_SD = 0.9, 0.4
"""Prior of the power of MACs that latency follows: about proportional."""

LOWEST_POWER, HIGHEST_POWER = 0.3, 2.0
CURVED = 0.15
"""Error of the fitted line, as a share of a log-ratio, because latency is only nearly a power of MACs."""

SHARPEST = 0.002
"""The smallest half-width that any session's interval is credited with."""

FOUND, OTHER = "found", "to"


@dataclass(frozen=True)
class Paired:
    """The result of one session, or of several together, for a config beside the one to match."""

    logs: FloatArray  # (blocks,), log of latency ÷ latency to match
    value_ms: float  # NaN at noise grade D
    target_ms: float
    valid: bool  # the A/A control held

    @property
    def ratio(self) -> Interval:
        """Latency ÷ latency to match, with its 95 % interval."""
        return ratio_interval(self.logs)

    def within(self, tolerance: float) -> bool:
        return self.valid and abs(self.ratio.value - 1) <= tolerance


@dataclass(frozen=True)
class Pairing:
    """The config to match, and how both are timed."""

    to: ModelConfig
    settings: MeasureConfig
    device: str
    budget_s: float
    seed: int

    def session(self, config: ModelConfig, number: int) -> Paired:
        """Times both configs together; ``number`` counts the sessions and changes the seed.

        Raises:
            SubjectError: a model raised, or returned NaN or infinity.
        """
        settings, subjects = self.settings, {}
        for name, model in ((OTHER, self.to), (FOUND, config)):
            subjects[name] = Subject(*prepared(model, settings, device=self.device), self.device, settings.compile)
        with torch_threads(settings.threads):
            timed = run_session(
                subjects,
                baseline=OTHER,
                blocks=settings.blocks,
                cycles=settings.cycles,
                seed=self.seed + number,
                warmup_s=settings.warmup_s,
                budget_s=self.budget_s,
                minimum_blocks=min(MINIMUM_BLOCKS, settings.blocks),
            )
        compared = Comparison(timed, {}, scope_of(timed, subjects[OTHER], threads=settings.threads))
        told = compared.grade != "D"
        return Paired(
            logs=timed.log_ratios(FOUND),
            value_ms=compared.latency_ms(FOUND).value if told else math.nan,
            target_ms=compared.latency_ms(OTHER).value if told else math.nan,
            valid=timed.valid,
        )


@dataclass(frozen=True)
class Timed:
    """The config that was found, and the result of the sessions that confirm it."""

    config: ModelConfig
    found: Paired
    within: bool
    note: str


def pair_by_latency(
    nearest: Callable[[float, float], ModelConfig],
    macs: Callable[[ModelConfig], float],
    pairing: Pairing,
    *,
    first: float,
    tolerance: float,
) -> Timed:
    """Searches for the config whose latency matches.

    Args:
        nearest: MACs and tolerance → the config with so many MACs.
        macs: of a config.
        pairing: times a config against the one to match.
        first: MACs to start from.
        tolerance: of the ratio, from 1.
    """
    sessions: dict[ModelConfig, list[Paired]] = {}
    wanted = first
    for number in range(SESSIONS):
        config = nearest(wanted, tolerance / 2)
        seen = sessions.setdefault(config, [])
        if len(seen) > 1 and _hopeless(_confirming(seen), tolerance):
            break  # no size comes nearer
        seen.append(pairing.session(config, number))
        known = _confirming(seen)
        if len(seen) > 1 and known.within(tolerance) and known.ratio.half_width <= tolerance:
            break
        if not abs(known.ratio.value - 1) <= tolerance:
            wanted = _next([(macs(at), _confirming(several)) for at, several in sessions.items()])
    best = min(sessions, key=lambda at: abs(float(_confirming(sessions[at]).logs.mean())))
    if len(sessions[best]) == 1:
        sessions[best].append(pairing.session(best, SESSIONS))
    found = _confirming(sessions[best])
    everything = [session for several in sessions.values() for session in several]
    failed = sum(not session.valid for session in everything)
    note = f"{len(everything)} timing sessions" + f", in {failed} of which the A/A control failed" * bool(failed)
    if not found.ratio.half_width <= tolerance:
        note += "; its interval is wider than the tolerance: this machine is busy"
    return Timed(best, found, found.within(tolerance), note)


def _confirming(sessions: list[Paired]) -> Paired:
    """All sessions but the first, which had a part in the choice, as one; invalid ones only if all are invalid."""
    later = sessions[1:] or sessions
    kept = [session for session in later if session.valid] or later
    told = [session for session in kept if not math.isnan(session.value_ms)]
    return Paired(
        logs=np.concatenate([session.logs for session in kept]),
        value_ms=statistics.fmean(session.value_ms for session in told) if told else math.nan,
        target_ms=statistics.fmean(session.target_ms for session in told) if told else math.nan,
        valid=kept[0].valid,
    )


def _hopeless(known: Paired, tolerance: float) -> bool:
    """Whether the interval lies outside the tolerance, so that timing it again would change nothing."""
    return known.valid and (known.ratio.low > 1 + tolerance or known.ratio.high < 1 - tolerance)


def _next(timed: list[tuple[float, Paired]]) -> float:
    """The MACs at which the ratio should be 1, from the (MACs, result) pairs so far.

    Fits log-ratio over log MACs by weighted least squares, with a prior on the slope. Points far from a ratio of 1
    weigh less, because they say less about where the ratio is 1.
    """
    x = np.log([macs for macs, _ in timed])
    y = np.array([session.logs.mean() for _, session in timed])
    noise = [max(session.ratio.half_width, SHARPEST) for _, session in timed]
    weights = 1 / np.hypot(np.nan_to_num(noise, nan=0.1), CURVED * y)
    design = np.stack([np.append(weights, 0), np.append(weights * (x - x[-1]), 1 / POWER_SD)], axis=1)
    values = np.append(weights * y, POWER / POWER_SD)
    (level, power), *_ = np.linalg.lstsq(design, values)
    step = -level / min(max(power, LOWEST_POWER), HIGHEST_POWER)
    return float(np.exp(x[-1] + step))
