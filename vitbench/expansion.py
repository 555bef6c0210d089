"""From an ablation's declaration to the rows of its table: axes, combined rows, references. No torch."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from vitbench.config import fit
from vitbench.errors import ConfigError, ImpossibleConfigError, unknown
from vitbench.variant import Variant, format_axes, model_name

if TYPE_CHECKING:
    from vitbench.ablation import Ablation

DATA_FIELDS = ("img_size", "in_chans", "num_classes")
"""What a model has from the data set."""

CROSSED = ("data", "train")
"""Groups of settings that every model has: references vary along their axes too."""


def expanded(ablation: Ablation) -> list[Variant]:
    """Every row, the baseline first; whether a teacher can be is not looked at yet."""
    base = {name: ablation.value_of(name) for name in ablation.columns}
    rows = [
        _row(ablation, _name(ablation, axes, is_baseline=number == 0), axes, is_baseline=number == 0)
        for number, axes in enumerate(_cells(ablation, base, ablation.axes))
    ]
    rows += [_row(ablation, name, {**base, **settings}) for name, settings in ablation.combined.items()]
    rows += _references(ablation)
    teachers = {row.teacher for row in rows if row.teacher}
    return [_untaught(row) if row.reference in teachers and row.teacher else row for row in rows]


def _cells(
    ablation: Ablation, base: Mapping[str, Any], axes: Mapping[str, tuple[Any, ...]]
) -> Iterator[dict[str, Any]]:
    """``base``, then what is different along these axes, in the order declared."""
    if ablation.design == "grid":
        products = itertools.product(*axes.values())
        cells = [{**base, **dict(zip(axes, values, strict=True))} for values in products]
    else:
        cells = [{**base, axis: value} for axis, values in axes.items() for value in values]
    yield dict(base)
    yield from (cell for cell in cells if cell != base)


def _row(ablation: Ablation, name: str, axes: Mapping[str, Any], *, is_baseline: bool = False) -> Variant:
    other = {axis: v for axis, v in axes.items() if not axis.startswith("data.") and v != ablation.value_of(axis)}
    curve = format_axes(other) or model_name(ablation.baseline)
    common: dict[str, Any] = {"name": name, "axes": dict(axes), "curve": curve}
    try:
        cell = ablation.cell(axes)
    except ImpossibleConfigError as impossible:
        return Variant(**common, model=None, train=ablation.train, measure=ablation.measure, reason=str(impossible))
    common |= {"train": cell.train, "measure": cell.measure, "data": cell.data_settings}
    return Variant(**common, model=cell.baseline, is_baseline=is_baseline)


def _references(ablation: Ablation) -> Iterator[Variant]:
    """The rows of other models: each under the baseline's settings, and along the axes that they cross."""
    named = (
        ablation.references
        if isinstance(ablation.references, Mapping)
        else {model_name(m): m for m in ablation.references}
    )
    if len(named) < len(ablation.references):
        raise ConfigError("two references have the same name: write references={'name': config, …}")
    shape = {name: getattr(ablation.baseline, name) for name in DATA_FIELDS}
    crossed = {axis: values for axis, values in ablation.axes.items() if axis.partition(".")[0] in CROSSED}
    base = {axis: ablation.value_of(axis) for axis in crossed}
    for name, model in named.items():
        for axes in _cells(ablation, base, crossed):
            changed = {axis: value for axis, value in axes.items() if value != base[axis]}
            row = _row(ablation, f"{name},{format_axes(changed)}" if changed else name, axes)
            curve = ",".join([name, *([row.curve] if row.curve != model_name(ablation.baseline) else [])])
            row = dataclasses.replace(row, reference=name, curve=curve)
            try:
                fitted = fit(model, **shape)
            except ImpossibleConfigError as impossible:
                yield dataclasses.replace(row, model=None, reason=str(impossible))
                continue
            yield dataclasses.replace(row, model=None if row.reason else fitted)


def _name(ablation: Ablation, axes: Mapping[str, Any], *, is_baseline: bool) -> str:
    declared = {axis: axes[axis] for axis in ablation.axes}
    if not declared:
        return "baseline" if ablation.combined else model_name(ablation.baseline)
    if is_baseline and len(declared) > 1:
        return "baseline"
    if ablation.design == "grid" or len(declared) == 1:
        return format_axes(declared)
    return format_axes({axis: value for axis, value in declared.items() if value != ablation.value_of(axis)})


def _untaught(row: Variant) -> Variant:
    """A row that teaches and is not taught."""
    return dataclasses.replace(row, train=dataclasses.replace(row.train, teacher=None, distillation="none"))


def check_teachers(rows: list[Variant]) -> None:
    """Raises ConfigError where a row that shall teach does not exist, or learns from its own pupil."""
    teachers = {row.name: row.teacher for row in rows}
    for pupil in teachers:
        chain = [pupil]
        while (teacher := teachers[chain[-1]]) is not None:
            if teacher not in teachers:
                others = [name for name in teachers if name != pupil]
                raise ConfigError(f"{pupil} has teacher='variant:{teacher}': {unknown('variant', teacher, others)}")
            if teacher in chain:
                raise ConfigError(f"{' learns from '.join([*chain, teacher])}: a row cannot wait for itself")
            chain.append(teacher)
