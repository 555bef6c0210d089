"""Latency in milliseconds per call, and latency ratios to a baseline: the library's interface to timing sessions.

    compare({"a": model_a, "b": model_b}, example, baseline="a").table()

Ratios are robust: they are taken within blocks and cycles, where all models met the same conditions. Absolute latencies
apply to one machine on one day and are withheld at noise grade D. Both exclude data loading and the first call.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from vitbench.declare.measure import Placement
from vitbench.measure.timing import host_load
from vitbench.measure.timing.session import CONTROL, Block, Samples, Session, run_session
from vitbench.measure.timing.subject import Mode, Subject, SubjectError
from vitbench.stats import estimates, timing_diagnostics, verdicts
from vitbench.utils.threads import torch_threads

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CONTROL", "Block", "Comparison", "Samples", "Session", "Subject", "SubjectError", "compare", "run_session"]

MAXIMUM_BLOCKS = 315
"""Maximum number of blocks of ``compare``: the ninth interim look."""


@dataclass(frozen=True)
class Comparison:
    """The result of ``compare``, with the raw samples."""

    session: Session
    ratios: dict[str, verdicts.Comparison]  # variant ÷ baseline, intervals at the level Holm tested
    scope: dict[str, Any]

    @property
    def valid(self) -> bool:
        """Whether the A/A control passed; if not, every verdict is withheld."""
        return self.session.valid

    @property
    def grade(self) -> host_load.Grade:
        """The noise grade of the machine, A to D."""
        grade: host_load.Grade = self.scope["grade"]
        return grade

    @property
    def samples(self) -> dict[str, Samples]:
        """The raw calls by model, with the baseline's clone under ``A/A control``."""
        return {**self.session.samples, CONTROL: self.session.control}

    def latency_ms(self, name: str) -> estimates.Interval:
        """Milliseconds per call: the mean over blocks of each block's median, with its t interval."""
        return estimates.latency_interval(1e3 * self.session.samples[name].wall)

    def table(self) -> pd.DataFrame:
        """One row per model: milliseconds per call, ratio to the baseline with its interval, and verdict."""
        import pandas as pd

        nan = float("nan")
        rows = []
        for name in self.session.samples:
            ratio = self.ratios.get(name)
            rows.append(
                {
                    "variant": name,
                    "latency_ms": nan if self.grade == "D" else self.latency_ms(name).value,
                    "latency_ratio": ratio.value if ratio else 1.0,
                    "latency_ratio_low": ratio.low if ratio else nan,
                    "latency_ratio_high": ratio.high if ratio else nan,
                    "latency_verdict": ratio.verdict.text if ratio else "baseline",
                }
            )
        return pd.DataFrame(rows)

    def __str__(self) -> str:
        control = "held" if self.valid else "failed"
        return "\n".join(
            [
                self.table().to_string(index=False),
                f"A/A control {control}; noise floor ±{100 * self.session.noise_floor:.1f}%",
                *self.notes(),
                ", ".join(f"{key} {value}" for key, value in self.scope.items()),
            ]
        )

    def notes(self) -> list[str]:
        """Notes on interference between variants and on stalled calls."""
        effects = {name: self.session.order_effect(name) for name in self.ratios}
        stalls = {name: timing_diagnostics.stalls(samples.wall) for name, samples in self.session.samples.items()}
        return [
            *(
                f"cache interference: {name} runs at {effect.value:.3f} [{effect.low:.3f}, {effect.high:.3f}] in the "
                "mirrored passes, relative to the baseline and to the first passes"
                for name, effect in effects.items()
                if effect.excludes(1)
            ),
            *(
                f"stalls: {count} of {self.session.samples[name].wall.size} calls of {name} took over "
                f"{timing_diagnostics.STALL:g} times its median, up to {longest:.3g} s; "
                "medians and ratios do not show them"
                for name, (count, longest) in stalls.items()
                if count
            ),
        ]


def compare(
    models: Mapping[str, nn.Module | Callable[[Any], Any]],
    example: Any,
    *,
    baseline: str,
    target: float = 0.02,
    budget_s: float = 10.0,
    seed: int = 0,
    mode: Mode = "forward",
    threads: int = 1,
    placement: Placement = "own",
    compile: bool = False,  # noqa: A002  # as in MeasureConfig
    timer: Callable[[], float] = time.perf_counter,
) -> Comparison:
    """The comparison of models with a baseline, timed side by side on one input.

    Args:
        models: modules, or callables of one argument, by name. Copies are timed; modules run in evaluation mode, or in
            training mode for a ``train_step``.
        example: the input; a tensor is (batch, …), and its device is used for everything.
        baseline: name of the model that the others are compared with.
        target: half-width of every ratio, as a fraction, at which timing ends; checked after 12, 18, 27, 41 … blocks.
            If it is not reached, a ratio without a significant difference is inconclusive.
        budget_s: maximum seconds; but 6 blocks of one cycle are timed, however long they take.
        seed: seed of placements, orders and labels.
        mode: ``forward``, or a whole ``train_step``.
        threads: number of torch threads; two threads on a busy two-core machine were 35 times slower than one.
        placement: ``own``, or ``shared``: parameters of one shape share their memory between models.
        compile: use ``torch.compile``, with separate code per model; compilation does not count against the budget.
        timer: returns seconds; injected by tests.

    Raises:
        ConfigError: the baseline does not exist.
        SubjectError: a model raised an exception, or its output is NaN or infinite; the message names the model.
    """
    device = example.device if isinstance(example, Tensor) else torch.device("cpu")
    subjects = {name: Subject(model, example, device, compile) for name, model in models.items()}
    with torch_threads(threads):
        session = run_session(
            subjects,
            baseline=baseline,
            blocks=MAXIMUM_BLOCKS,
            seed=seed,
            mode=mode,
            target=target,
            budget_s=budget_s,
            placement=placement,
            timer=timer,
        )
    return comparison_of(session, subjects[baseline], threads=threads)


def comparison_of(session: Session, baseline: Subject, *, threads: int) -> Comparison:
    """The verdicts of a session, with their scope."""
    metric = verdicts.LATENCY if session.target is None else replace(verdicts.LATENCY, target=session.target)
    logs = {name: session.log_ratios(name) for name in session.samples if name != session.baseline}
    ratios = verdicts.compare_with_holm(
        logs,
        metric,
        alpha=1 - session.level,
        valid=session.valid,
        unstable=[name for name in logs if session.unstable(name)],
    )
    return Comparison(session, ratios, scope_of(session, baseline, threads=threads))


def scope_of(session: Session, baseline: Subject, *, threads: int) -> dict[str, Any]:
    """The settings and conditions that the session's numbers apply to."""
    on_cpu = torch.device(baseline.device).type == "cpu"
    example = baseline.example
    return {
        "device": str(baseline.device),
        "dtype": str(example.dtype).removeprefix("torch.") if isinstance(example, Tensor) else "not a tensor",
        "batch_size": baseline.batch_size,
        "threads": threads,
        "mode": session.mode,
        "placement": session.placement,
        "allocator": host_load.allocator(),
        "blocks": len(session.blocks),
        "stopped": session.stop_reason,
        "grade": host_load.grade(session.pressure, session.cpu_share if on_cpu else 1.0),
    }
