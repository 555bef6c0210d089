"""Counts, memory, latency and throughput of named models side by side, compared with the first.

Counts and memory are exact. Latencies come from one joint session (``timing.session``), so that ratios are valid even
on a busy machine; throughput has separate windows. A model that cannot be measured is a row with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from vitbench.declare.measure import MeasureConfig
from vitbench.declare.model import ModelConfig
from vitbench.declare.sizes import as_pair
from vitbench.measure.counts.flops import count
from vitbench.measure.peak_memory.modelled import memory
from vitbench.measure.prepare import modelled, prepared
from vitbench.measure.timing.latency import MAXIMUM_BLOCKS, Comparison, comparison_of
from vitbench.measure.timing.session import run_session
from vitbench.measure.timing.subject import Subject, SubjectError, check, place
from vitbench.measure.timing.throughput import measure as throughput
from vitbench.stats import mean_interval
from vitbench.utils.errors import UserError, first_line, is_out_of_memory
from vitbench.utils.threads import torch_threads

if TYPE_CHECKING:
    import pandas as pd

MIB = 2**20
WINDOW_S, WINDOWS = 2.0, 2
"""Seconds of back-to-back calls in a throughput window, and number of windows per model."""

MINIMUM_BLOCKS = 6

Progress = Callable[[str], None]
Row = dict[str, Any]


@dataclass(frozen=True)
class SideBySide:
    """The results, one row per model; ``compared`` is None if no model could be timed."""

    rows: Mapping[str, Row]
    compared: Comparison | None
    scope: dict[str, Any]

    @property
    def failed(self) -> int:
        """The number of models with an incomplete measurement."""
        return sum(row["status"] != "ok" for row in self.rows.values())

    def table(self) -> pd.DataFrame:
        """One row per model, in order, with columns as in an ablation's ``table.csv`` followed by the scope."""
        import pandas as pd

        return pd.DataFrame(
            {name: pd.Series([row.get(name) for row in self.rows.values()], dtype=kind) for name, kind in COLUMNS}
        )


_WHOLE, _NUMBER, _WORD = "Int64", "float64", "object"
COLUMNS: tuple[tuple[str, Any], ...] = (
    ("variant", _WORD),
    ("img_size", _WORD),
    ("batch_size", _WHOLE),
    ("status", _WORD),
    *((name, _WHOLE) for name in ("params", "macs", "flops", "activations")),
    *((name, _NUMBER) for name in ("latency_ms", "latency_ms_low", "latency_ms_high", "throughput_img_s")),
    *((name, _NUMBER) for name in ("peak_memory_inference_mib", "peak_memory_training_mib")),
    *((f"latency_ratio{part}", _NUMBER) for part in ("", "_low", "_high", "_level")),
    ("latency_ratio_verdict", _WORD),
    ("device", _WORD),
    ("dtype", _WORD),
    ("threads", _WHOLE),
    ("grade", _WORD),
    ("reason", _WORD),
)
"""Names and dtypes of the columns."""


def side_by_side(
    models: Mapping[str, ModelConfig],
    settings: MeasureConfig,
    *,
    device: str = "cpu",
    budget_s: float = 10.0,
    seed: int = 0,
    progress: Progress = lambda _: None,
) -> SideBySide:
    """The measurements of all models, compared with the first one that can be timed.

    Args:
        models: configs by name.
        settings: batch size, dtype, threads and so on; blocks and cycles are upper limits.
        device: ``cpu`` or ``cuda``.
        budget_s: seconds of the joint timing. At least 6 blocks of one cycle run, however long they take.
        seed: seed of placements and orders.
        progress: called with the next measurement, outside all timing.
    """
    scope = {"device": device, "dtype": settings.dtype, "threads": settings.threads}
    rows: dict[str, Row] = {
        name: {
            "variant": name,
            "img_size": "x".join(map(str, dict.fromkeys(as_pair(config.img_size)))),
            "batch_size": settings.batch_size,
            "status": "ok",
            **scope,
        }
        for name, config in models.items()
    }
    subjects: dict[str, Subject] = {}
    try:
        with torch_threads(settings.threads):
            for name, config in models.items():
                progress(f"{name}: counting")
                _attempt(rows[name], "cost", partial(_counts, config))
                progress(f"{name}: memory")
                for training in (False, True):
                    _attempt(rows[name], "memory", partial(_memory, config, settings, training=training))
                progress(f"{name}: first call")
                subject = _attempt(rows[name], "forward", partial(_subject, name, config, settings, device))
                if subject is not None:
                    subjects[name] = subject["subject"]
            timing = _Timing(subjects, rows, settings, budget_s, seed, progress)
            compared = timing.latency()
            timing.throughput()
    finally:
        progress("")
    if compared is None:
        return SideBySide(rows, None, scope)
    for row in rows.values():
        row["grade"] = compared.grade
    return SideBySide(rows, compared, compared.scope)


def _attempt(row: Row, quantity: str, measure: Callable[[], Row]) -> Row | None:
    """The measured fields, added to the row; None if the measurement failed, with the reason in the row."""
    try:
        found = measure()
    except Exception as error:  # noqa: BLE001  # external models can raise anything, and a failure is a result
        _fail(row, quantity, error)
        return None
    row.update({name: value for name, value in found.items() if name != "subject"})
    return found


def _fail(row: Row, quantity: str, error: Exception) -> None:
    """Sets the status and appends the reason of a failure."""
    message = error.reason if isinstance(error, SubjectError) else first_line(error)
    kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
    reason = f"{quantity}: {kind}{message}"
    row["status"] = "oom" if is_out_of_memory(error) or row["status"] == "oom" else "failed"
    earlier = row.get("reason")
    row["reason"] = reason if earlier is None else earlier if message in earlier else f"{earlier}; {reason}"


def _counts(config: ModelConfig) -> Row:
    counts = count(config)
    return {name: getattr(counts, name) for name in ("params", "macs", "flops", "activations")}


def _memory(config: ModelConfig, settings: MeasureConfig, *, training: bool) -> Row:
    model, example = modelled(config, settings, training=training)
    peak = memory(model, batch_size=settings.batch_size, training=training, example=example)
    return {f"peak_memory_{'training' if training else 'inference'}_mib": peak.bytes / MIB}


def _subject(name: str, config: ModelConfig, settings: MeasureConfig, device: str) -> Row:
    """A subject after one call."""
    model, images = prepared(config, settings, device=device)
    subject = Subject(model, images, device, settings.compile)
    with torch.inference_mode():
        check(name, place(name, subject, "forward", 0))
    return {"subject": subject}


@dataclass(frozen=True)
class _Timing:
    """Joint timing of the subjects, which writes into their rows."""

    subjects: dict[str, Subject]
    rows: dict[str, Row]
    settings: MeasureConfig
    budget_s: float
    seed: int
    progress: Progress

    def latency(self) -> Comparison | None:
        """The comparison of all subjects. A subject that fails is removed, and the session is run again."""
        while self.subjects:
            baseline = next(iter(self.subjects))
            try:
                self.progress("latency: warm-up")
                session = run_session(
                    self.subjects,
                    baseline=baseline,
                    blocks=MAXIMUM_BLOCKS,
                    cycles=self.settings.cycles,
                    seed=self.seed,
                    warmup_s=self.settings.warmup_s,
                    target=self.settings.target,
                    first_look=self.settings.blocks,
                    placement=self.settings.placement,
                    budget_s=self.budget_s,
                    minimum_blocks=min(MINIMUM_BLOCKS, self.settings.blocks),
                    on_block=lambda done, planned: self.progress(f"latency: block {done} of {planned} at most"),
                )
            except SubjectError as error:
                self._remove(error, "latency")
                continue
            compared = comparison_of(session, self.subjects[baseline], threads=self.settings.threads)
            for name in self.subjects:
                self.rows[name].update(_timed(compared, name, baseline))
            return compared
        return None

    def throughput(self) -> None:
        """Measures images per second."""
        self.progress("throughput")
        while self.subjects:
            try:
                rates = throughput(self.subjects, window_s=WINDOW_S, windows=WINDOWS, seed=self.seed)
            except SubjectError as error:
                self._remove(error, "throughput")
                continue
            for name, rate in rates.items():
                self.rows[name]["throughput_img_s"] = mean_interval(rate).value
            return

    def _remove(self, error: SubjectError, quantity: str) -> None:
        del self.subjects[error.subject]
        _fail(self.rows[error.subject], quantity, error)


def _timed(compared: Comparison, name: str, baseline: str) -> Row:
    """The fields of a model from the joint timing; no absolute latency at noise grade D."""
    row: Row = {}
    if compared.grade != "D":
        latency = compared.latency_ms(name)
        row |= {"latency_ms": latency.value, "latency_ms_low": latency.low, "latency_ms_high": latency.high}
    if name == baseline:
        return row | {"latency_ratio": 1.0, "latency_ratio_verdict": "baseline"}
    ratio = compared.ratios[name]
    bounds = {"latency_ratio": ratio.value, "latency_ratio_low": ratio.low, "latency_ratio_high": ratio.high}
    level = ratio.level if ratio.n > 1 else math.nan
    return row | bounds | {"latency_ratio_level": level, "latency_ratio_verdict": ratio.verdict.text}
