"""Two configs of equal latency: a search by MACs, judged by sessions that time both together.

A session decides by its ratio, which holds up on a busy machine where absolute times do not. Whoever stops at the first
session that shows a ratio near 1 has also chosen its luck; so such a find is timed again, with other seeds, and only
these later sessions, all of them together, say how near it is. They go on until their interval is narrower than the
tolerance to either side, or ``SESSIONS`` are over.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vitbench.declare.measure import MeasureConfig
from vitbench.declare.model import ModelConfig
from vitbench.measure.matching.size_candidates import Sized
from vitbench.measure.prepare import prepared
from vitbench.measure.timing.latency import Comparison, scope_of
from vitbench.measure.timing.session import run_session
from vitbench.measure.timing.subject import Subject
from vitbench.stats import Interval, ratio_interval
from vitbench.stats.estimates import FloatArray
from vitbench.utils.threads import torch_threads

SESSIONS = 8
"""At most, those that confirm included."""

MINIMUM_BLOCKS = 6
POWER, POWER_SD = 0.9, 0.4
"""Of latency in MACs, before anything is timed: about proportional."""

LOWEST_POWER, HIGHEST_POWER = 0.3, 2.0
CURVED = 0.15
"""Error of the line, as a share of a log-ratio; latency is only nearly a power of MACs."""

SHARPEST = 0.002
"""No session is believed more exactly."""

FOUND, OTHER = "found", "to"


@dataclass(frozen=True)
class Paired:
    """What one session, or several together, say of a config and the other one."""

    logs: FloatArray  # (blocks,), log-ratios of latency to the other's
    value_ms: float  # NaN at noise grade D
    target_ms: float
    valid: bool  # the A/A control held

    @property
    def ratio(self) -> Interval:
        """Latency ÷ latency of the other, with its 95 % interval."""
        return ratio_interval(self.logs)

    def within(self, tolerance: float) -> bool:
        return self.valid and abs(self.ratio.value - 1) <= tolerance


@dataclass(frozen=True)
class Pairing:
    """The other config, and how both are timed."""

    to: ModelConfig
    settings: MeasureConfig
    device: str
    budget_s: float
    seed: int

    def session(self, config: Sized, number: int) -> Paired:
        """One joint timing; ``number`` is of the session, and goes into its seed.

        Raises:
            SubjectError: a model raised, or put out NaN or infinity.
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
    """The config that was found, and what the sessions that confirm it say."""

    config: Sized
    found: Paired
    within: bool
    note: str


def pair_by_latency(
    nearest: Callable[[float, float], Sized],
    macs: Callable[[Sized], float],
    pairing: Pairing,
    *,
    first: float,
    tolerance: float,
) -> Timed:
    """Looks for the config whose latency is the other's.

    Args:
        nearest: MACs and tolerance → the config that has them.
        macs: of a config.
        pairing: times a config against the other.
        first: MACs to begin with.
        tolerance: of the ratio, from 1.
    """
    sessions: dict[Sized, list[Paired]] = {}
    wanted = first
    for number in range(SESSIONS):
        config = nearest(wanted, tolerance / 2)
        seen = sessions.setdefault(config, [])
        if len(seen) > 1 and _hopeless(_confirming(seen), tolerance):
            break  # no other size is nearer
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
    """All sessions but the first, which had a part in the choice, as one; invalid ones only if there are no others."""
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
    """Whether its interval lies outside the tolerance, so that timing it again would change nothing."""
    return known.valid and (known.ratio.low > 1 + tolerance or known.ratio.high < 1 - tolerance)


def _next(timed: list[tuple[float, Paired]]) -> float:
    """The MACs at which the ratio should be 1, from (MACs, what is known) so far.

    A line of log-ratio over log MACs through all of them, by weighted least squares, with a prior on its slope; what is
    far from a ratio of 1 says less about where that is.
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
