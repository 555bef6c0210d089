"""Several processes that timed the same session, one after another, as one result: each is a unit of its own.

What lies in memory is drawn anew in every block, but some things are drawn once a process: where its libraries lie, in
which state its heap is, which core it was given. For numbers that are to be published each process is one unit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vitbench.run.executors.job import Result

if TYPE_CHECKING:
    from vitbench.run.jobs import Measured

PER_BLOCK = ("order", "pressure", "steal", "load", "block_seconds")


def cycles_of(result: Result) -> int | None:
    """Cycles in a block of the session that a process timed, so that the next one takes as many; None without any."""
    wall = result.value[0].samples.get("wall")
    return None if wall is None else len(wall["values"][0]) // 2


def joined(results: Sequence[Result]) -> Result:
    """One result: samples one after another, ``processes`` says how many units of them are each process'.

    Of other values that differ, all are kept, in a list.
    """
    if len(results) == 1:
        return results[0]
    rows = [_joined(same) for same in zip(*(result.value for result in results), strict=True)]
    return dataclasses.replace(
        results[0],
        value=rows,
        seconds=sum(result.seconds for result in results),
        losses=tuple(loss for result in results for loss in result.losses),
    )


def _joined(rows: Sequence[Measured]) -> Measured:
    values: dict[str, Any] = {}
    for key in rows[0].values:
        each = [row.values[key] for row in rows]
        if key in PER_BLOCK:
            values[key] = [item for items in each for item in items]
        else:
            values[key] = each[0] if all(value == each[0] for value in each) else each
    samples = {
        key: {**sample, "values": np.concatenate([np.asarray(row.samples[key]["values"]) for row in rows])}
        for key, sample in rows[0].samples.items()
        if all(key in row.samples for row in rows)
    }
    values["processes"] = [len(next(iter(row.samples.values()))["values"]) for row in rows]
    return dataclasses.replace(rows[0], values=values, samples=samples)
