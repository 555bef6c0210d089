"""The results table and the tidy frames behind the figures. Failed variants keep their row."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vitbench import stats
from vitbench.records.record import Record
from vitbench.tables.columns import columns_for
from vitbench.tables.comparable import source_record
from vitbench.tables.compare import TIMED, comparisons, seed_accuracies
from vitbench.tables.estimates import bounds, estimated, indexed
from vitbench.tables.planned import Planned
from vitbench.tables.study import Study, read_study
from vitbench.tables.timing_units import absolute, blocks, noise_grade
from vitbench.tables.training_outcomes import trained
from vitbench.utils.format import absent
from vitbench.utils.lazy import resolve

MILLISECONDS = 1000.0
BASELINE = "baseline"


def load(*directories: str | Path) -> pd.DataFrame:
    """The table of one or more results folders of one ablation: one row per variant, baseline first.

    Raises:
        UserError: a folder has no records, or the folders cannot be merged.
    """
    return table(read_study(*directories))


def table(study: Study, compared: pd.DataFrame | None = None) -> pd.DataFrame:
    """One row per variant with the columns of ``columns_for``; values that were not measured are missing, never 0.

    Args:
        study: the study to tabulate.
        compared: ``comparisons(study)``, if already computed.
    """
    frames = sources(study, comparisons(study) if compared is None else compared)
    names = [v.name for v in study.variants]
    columns = {}
    for column in columns_for(
        study.plan.get("axes") or {}, quantities=study.quantities.values(), tuned=bool(study.chosen)
    ):
        frame, field = column.source
        values = frames[frame]
        cells = list(values[field].reindex(names)) if field in values else [None] * len(names)
        cells = [None if absent(cell) else cell for cell in cells]
        if column.optional and all(cell is None for cell in cells):
            continue
        columns[column.name] = pd.Series(cells, dtype=column.dtype) if frame != "axes" else _axis(cells)
    return pd.DataFrame(columns)


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Writes the table as CSV: full precision, empty cells for missing values, the same bytes on every system."""
    path.write_bytes(frame.to_csv(index=False, lineterminator="\n").encode())


def sources(study: Study, compared: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The frames named by the columns' ``source``, each indexed by variant."""
    axes = [{"name": v.name, **{axis: _cell(value) for axis, value in v.axes.items()}} for v in study.variants]
    found = {"plan": indexed([_plan_row(study, v) for v in study.variants]), "axes": indexed(axes)}
    for quantity in study.quantities.values():
        frames = resolve(quantity.estimate)(study, compared) if ":" in quantity.estimate else estimated(study, quantity)
        found |= {f"{quantity.kind} {path}": frame for path, frame in frames.items()}
    return found


def accuracy_seeds(study: Study) -> pd.DataFrame:
    """The test accuracy of every variant and seed: ``variant, seed, accuracy`` (a fraction)."""
    rows = [
        (v.name, seed, accuracy)
        for v in study.variants
        for seed, accuracy in sorted(seed_accuracies(study, v.name).items())
    ]
    return pd.DataFrame(rows, columns=["variant", "seed", "accuracy"])


def learning_curves(study: Study) -> pd.DataFrame:
    """One row per trial and epoch: ``variant, seed, epoch, seconds, train_loss, val_accuracy``."""
    parts = []
    fields = ["epoch", "seconds", "train_loss", "val_accuracy"]
    for v in study.variants:
        for record, arrays in trained(study, v.name):
            if all(name in arrays for name in fields):
                frame = pd.DataFrame({name: arrays[name] for name in fields})
                parts.append(frame.assign(variant=v.name, seed=record.seed))
    columns = ["variant", "seed", *fields]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def attention_distances(study: Study) -> pd.DataFrame:
    """The attention distance of each head: ``variant, seed, block, head, distance_px, uniform_px``.

    Blocks and heads count from 1; ``uniform_px`` is the distance under uniform attention.
    """
    parts = []
    for v in study.variants:
        for record, arrays in trained(study, v.name):
            if "attention_distance" in arrays:
                distances = arrays["attention_distance"]
                block, head = np.indices(distances.shape).reshape(2, -1) + 1
                frame = pd.DataFrame({"block": block, "head": head, "distance_px": distances.ravel()})
                uniform = float(arrays.get("uniform_distance", math.nan))
                parts.append(frame.assign(variant=v.name, seed=record.seed, uniform_px=uniform))
    columns = ["variant", "seed", "block", "head", "distance_px", "uniform_px"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def position_similarities(study: Study, tiles: int = 7) -> pd.DataFrame:
    """Cosine similarity of position embeddings: ``variant, row, column, other_row, other_column, similarity``.

    Rows and columns of patches count from 1. The lowest seed of each variant is used. ``row`` and ``column`` take at
    most ``tiles`` evenly spaced values; ``other_row`` and ``other_column`` take all.
    """
    parts = []
    for v in study.variants:
        found = next((a["pos_similarity"] for _, a in trained(study, v.name) if "pos_similarity" in a), None)
        if found is not None:
            down, across = (np.linspace(0, n - 1, min(n, tiles)).round().astype(int) for n in found.shape[:2])
            shown = found[down][:, across]
            at = np.indices(shown.shape).reshape(4, -1)
            places = {"row": down[at[0]] + 1, "column": across[at[1]] + 1}
            others = {"other_row": at[2] + 1, "other_column": at[3] + 1}
            parts.append(pd.DataFrame({"variant": v.name, **places, **others, "similarity": shown.ravel()}))
    columns = ["variant", "row", "column", "other_row", "other_column", "similarity"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def latency_blocks(study: Study, metric: str = "latency_ms") -> pd.DataFrame:
    """The median time of each block of the deciding session in ms: ``variant, block, METRIC``."""
    session = next(study.sessions(TIMED[metric]), {})
    rows = [
        (v.name, number, MILLISECONDS * stats.latency_interval([calls]).value)
        for v in study.variants
        if v.name in session
        for number, calls in enumerate(blocks(session[v.name]))
    ]
    return pd.DataFrame(rows, columns=["variant", "block", metric])


def timings(study: Study, metric: str = "latency_ms") -> pd.DataFrame:
    """Absolute times in ms from each variant's best session: ``variant, value, low, high, n`` (units).

    Times from sessions of noise grade D are withheld.
    """
    rows = [
        {"variant": record.variant, **bounds(_median(record), _milliseconds)}
        for record in not_withheld(study, TIMED[metric])
    ]
    return pd.DataFrame(rows, columns=["variant", "value", "low", "high", "n"])


def _median(record: Record) -> stats.Interval:
    return absolute(record, np.quantile(blocks(record), 0.5, axis=1))


def _milliseconds(seconds: float) -> float:
    return seconds * MILLISECONDS


def grade_of(study: Study, record: Record) -> stats.Grade:
    """The noise grade of a timing's session."""
    session = [r for r in study.of(record.kind) if r.session == record.session]
    return noise_grade(study.control(record.kind, record.session), session, study.settings.get("device", "cpu"))


def not_withheld(study: Study, kind: str) -> Iterator[Record]:
    """Yields each variant's record from its best session, unless that session has noise grade D."""
    grades: dict[str | None, stats.Grade] = {}
    for record in (source_record(study, kind, v.name) for v in study.variants):
        if record is None:
            continue
        if record.session not in grades:
            grades[record.session] = grade_of(study, record)
        if grades[record.session] != "D":
            yield record


# --- rows ----------------------------------------------------------------------------------------------------------


def _axis(cells: list[Any]) -> pd.Series[Any]:
    """The values of an axis as a column; integers stay integers even if a reference has no value."""
    whole = all(cell is None or (isinstance(cell, int) and not isinstance(cell, bool)) for cell in cells)
    return pd.Series(cells, dtype="Int64" if whole else "object")


def _cell(value: Any) -> Any:
    return "x".join(map(str, value)) if isinstance(value, (list, tuple)) else value


def _plan_row(study: Study, v: Planned) -> dict[str, Any]:
    status, reason = _status(study, v)
    batch = (study.settings.get("measure") or {}).get("batch_size")
    return {
        "name": v.name,
        "variant": v.name,
        "family": v.family,
        "batch_size": v.axes.get("measure.batch_size", batch),
        "status": status,
        "reason": reason,
    }


def _status(study: Study, v: Planned) -> tuple[str | None, str | None]:
    """The status and reasons of a variant: those of its failed records, else ``ok``; no status if nothing was tried."""
    if v.reason is not None:
        return "skipped", v.reason
    about = (quantity.kind for quantity in study.quantities.values() if quantity.per != "machine")
    kinds = {"skip", *about}
    own = [r for r in study.about(v.name) if r.kind in kinds]
    bad = [r for r in own if not r.ok and not _superseded(study, r, own)]
    if bad:
        return bad[0].status, _reasons(bad)
    return ("ok", None) if own else (None, "not run yet")


def _superseded(study: Study, record: Record, own: Iterable[Record]) -> bool:
    """Whether a failed joint measurement succeeded in another session."""
    joint = record.kind in study.quantities and study.quantities[record.kind].per == "session"
    return joint and any(r.ok and r.kind == record.kind for r in own)


def _reasons(bad: Iterable[Record]) -> str:
    """The distinct reasons of failed records: ``accuracy, seeds 0, 3: the loss was not finite; latency: …``."""
    seeds: dict[tuple[str, str], list[int]] = {}
    for record in bad:
        own = seeds.setdefault((record.kind, record.reason or record.status), [])
        own += [] if record.seed is None else [record.seed]
    named = {1: ", seed "}
    return "; ".join(
        f"{kind}{named.get(len(of), ', seeds ') if of else ''}{', '.join(map(str, sorted(of)))}: {reason}"
        for (kind, reason), of in seeds.items()
    )
