"""From an ablation's declaration to the rows of its table: axes, combined rows, references. No torch."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from vitbench.config import ModelConfig, as_pair, fit, scaled
from vitbench.errors import ConfigError, ImpossibleConfigError, unknown
from vitbench.variant import ROLES, Variant, format_axes, model_name

if TYPE_CHECKING:
    from vitbench.ablation import Ablation

DATA_FIELDS = ("img_size", "in_chans", "num_classes")
"""What a model has from the data set."""

CROSSED = ("data", "train")
"""Groups of settings that every model has: references vary along their axes too."""


def expanded(ablation: Ablation) -> list[Variant]:
    """Every row, the baseline first; whether the rows that it needs can be is not looked at yet."""
    base = {name: ablation.value_of(name) for name in ablation.columns}
    rows = [
        _row(ablation, _name(ablation, axes, is_baseline=number == 0), axes, is_baseline=number == 0)
        for number, axes in enumerate(_cells(ablation, base, ablation.axes))
    ]
    rows += [_row(ablation, name, {**base, **settings}) for name, settings in ablation.combined.items()]
    rows += _references(ablation)
    teachers = {row.needs["teacher"] for row in rows if "teacher" in row.needs}
    return [_untaught(row) if row.reference in teachers and "teacher" in row.needs else row for row in rows]


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
        model = _at_scale(cell.baseline, cell.data_settings.scale)
    except ImpossibleConfigError as impossible:
        return Variant(**common, model=None, train=ablation.train, measure=ablation.measure, reason=str(impossible))
    common |= {"train": cell.train, "measure": cell.measure, "data": cell.data_settings}
    return Variant(**common, model=model, is_baseline=is_baseline)


def _at_scale(model: ModelConfig, scale: float) -> ModelConfig:
    """The model for the same data at another resolution."""
    if scale == 1:
        return model
    height, width = (scaled(side, scale) for side in as_pair(model.img_size))
    size = height if height == width else (height, width)
    return fit(model, img_size=size, in_chans=model.in_chans, num_classes=model.num_classes)


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
                fitted = _at_scale(fit(model, **shape), row.data.scale)
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


def check_needs(rows: list[Variant]) -> None:
    """Raises ConfigError where a row that another one needs does not exist, or needs that one in turn."""
    by_name = {row.name: row for row in rows}
    chains = [[name] for name in by_name]
    while chains:
        chain = chains.pop()
        for role, needed in by_name[chain[-1]].needs.items():
            if needed not in by_name:
                others = [name for name in by_name if name != chain[-1]]
                raise ConfigError(f"{chain[-1]} has {role}='variant:{needed}': {unknown('variant', needed, others)}")
            if needed in chain:
                raise ConfigError(f"{' needs '.join([*chain, needed])}: a row cannot wait for itself")
            chains.append([*chain, needed])


def impossible_needs(row: Variant, by_name: Mapping[str, Variant]) -> str | None:
    """Why a row cannot be whose model could be: one that it needs cannot; None where all can."""
    for role, name in row.needs.items():
        if (needed := by_name[name]).model is None:
            return f"{ROLES[role]} {name} cannot be: {needed.reason}"
    return None
