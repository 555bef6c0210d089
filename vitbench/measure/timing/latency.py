"""How long one call takes, in milliseconds, and by what ratio variants differ: the library's face of a session.

    compare({"a": model_a, "b": model_b}, example, baseline="a").table()

The ratio is what holds up: it is taken within blocks and cycles, where all models met the same machine. The absolute
latency is one machine's on one day, and is withheld at noise grade D. Both leave out data loading and the first call.
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
from vitbench.stats import estimates, stability, verdicts
from vitbench.utils.threads import torch_threads

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CONTROL", "Block", "Comparison", "Samples", "Session", "Subject", "SubjectError", "compare", "run_session"]

MAXIMUM_BLOCKS = 315
"""Of ``compare``: the ninth look."""


@dataclass(frozen=True)
class Comparison:
    """What ``compare`` found; the raw samples come along."""

    session: Session
    ratios: dict[str, verdicts.Comparison]  # variant ÷ baseline, intervals at the level Holm tested
    scope: dict[str, Any]

    @property
    def valid(self) -> bool:
        """Whether the A/A control held; if not, every verdict is withheld."""
        return self.session.valid

    @property
    def grade(self) -> host_load.Grade:
        """How noisy the machine was, A to D."""
        grade: host_load.Grade = self.scope["grade"]
        return grade

    @property
    def samples(self) -> dict[str, Samples]:
        """Raw calls by model, the baseline's clone under ``A/A control``."""
        return {**self.session.samples, CONTROL: self.session.control}

    def latency_ms(self, name: str) -> estimates.Interval:
        """Milliseconds a call: the median of each block, then t on blocks."""
        return estimates.latency_interval(1e3 * self.session.samples[name].wall)

    def table(self) -> pd.DataFrame:
        """One row a model: milliseconds a call, ratio to the baseline with its interval, verdict."""
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
        """What else a reader should know: models whose calls disturb each other, and calls that stood still."""
        effects = {name: self.session.order_effect(name) for name in self.ratios}
        stood = {name: stability.stalls(samples.wall) for name, samples in self.session.samples.items()}
        return [
            *(
                f"cache interference: {name} runs at {effect.value:.3f} [{effect.low:.3f}, {effect.high:.3f}] in the "
                "mirrored passes, relative to the baseline and to the first passes"
                for name, effect in effects.items()
                if effect.excludes(1)
            ),
            *(
                f"stalls: {count} of {self.session.samples[name].wall.size} calls of {name} took over "
                f"{stability.STALL:g} times its median, up to {longest:.3g} s; medians and ratios do not show them"
                for name, (count, longest) in stood.items()
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
    """Times models side by side on one input, against a baseline.

    Args:
        models: name → module, or any callable of one argument. Each is deep-copied and left untouched; modules run in
            evaluation mode, or in training mode in a ``train_step``.
        example: the input, (batch, …) where it is a tensor; its device is where everything runs.
        baseline: the name that the others are compared with.
        target: half-width of every ratio, as a fraction, at which the timing ends; looked at after 12, 18, 27, 41 …
            blocks. A difference that was not found and is known less exactly is called inconclusive.
        budget_s: seconds, at most; but 6 blocks of one cycle are timed however long they take.
        seed: of placements, orders and labels.
        mode: ``forward``, or a whole ``train_step``.
        threads: of torch, set for this call; two threads on a busy two-core machine were 35 times slower than one.
        placement: ``own``, or ``shared``: parameters of one shape lie in the same memory for all models.
        compile: all through ``torch.compile``, each with code of its own; compiling does not count against the budget.
        timer: seconds; injected by tests.

    Raises:
        ConfigError: no such baseline.
        SubjectError: a model raised, or put out NaN or infinity; it names the model.
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
    """The verdicts of a session, and to what they apply."""
    metric = verdicts.LATENCY if session.target is None else replace(verdicts.LATENCY, target=session.target)
    logs = {name: session.log_ratios(name) for name in session.samples if name != session.baseline}
    ratios = verdicts.family(
        logs,
        metric,
        alpha=1 - session.level,
        valid=session.valid,
        unstable=[name for name in logs if session.unstable(name)],
    )
    return Comparison(session, ratios, scope_of(session, baseline, threads=threads))


def scope_of(session: Session, baseline: Subject, *, threads: int) -> dict[str, Any]:
    """To what the session's numbers apply."""
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
