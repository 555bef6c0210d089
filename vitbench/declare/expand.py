"""The variants of an ablation: from its axes, its combined rows and its references."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from vitbench.declare import designs
from vitbench.declare.checked import with_values
from vitbench.declare.declaration import Declaration
from vitbench.declare.families import adapt_to_data
from vitbench.declare.model import ModelConfig
from vitbench.declare.settings import CROSSED, DATA_FIELDS, GROUPS, group_of
from vitbench.declare.sizes import as_pair, scaled
from vitbench.declare.variant import ROLES, Variant, format_axes, model_name
from vitbench.utils.errors import ConfigError, ImpossibleConfigError, unknown


def expanded(ablation: Declaration) -> dict[str, Variant]:
    """Name → variant, the baseline first; an impossible variant has a reason instead of a model.

    Raises:
        ConfigError: two variants share a name, or a variant needs one that does not exist, or itself.
    """
    rows = _Expansion(ablation).rows()
    by_name = {row.name: row for row in rows}
    if len(by_name) < len(rows):
        twice, _ = Counter(row.name for row in rows).most_common(1)[0]
        raise ConfigError(f"two variants are called {twice!r}: give each reference a name of its own")
    check_needs(by_name)
    for row in rows:
        if row.borrows and row.model is not None and (reason := impossible_needs(row, by_name)):
            by_name[row.name] = dataclasses.replace(row, model=None, reason=reason)
    return by_name


class _Expansion:
    """Makes the variants of an ablation; configs and names that variants of a large grid share are made once.

    Caches use the ``id`` of an axis value, which is fast and safe since the ablation keeps the value alive.
    """

    def __init__(self, ablation: Declaration) -> None:
        self.ablation = ablation
        self.base = {name: ablation.value_of(name) for name in ablation.columns}
        self.named = model_name(ablation.baseline)
        self._fields = {group: [name for name in self.base if group_of(name) == group] for group in GROUPS}
        self._configs: dict[tuple[Any, ...], Any] = {}
        self._words: dict[tuple[str, int], str] = {}

    def rows(self) -> list[Variant]:
        ablation = self.ablation
        rows = [
            self._row(self._name(axes, is_baseline=number == 0), axes, is_baseline=number == 0)
            for number, axes in enumerate(self._cells())
        ]
        rows += [self._row(name, {**self.base, **settings}) for name, settings in ablation.combined.items()]
        rows += self._references()
        teachers = {row.needs["teacher"] for row in rows if row.borrows and "teacher" in row.needs}
        if not teachers:
            return rows
        return [_without_teacher(row) if row.reference in teachers and "teacher" in row.needs else row for row in rows]

    def _cells(self) -> Iterator[dict[str, Any]]:
        ablation = self.ablation
        return designs.cells(
            ablation.design, self.base, ablation.axes, sample=ablation.sample, seed=ablation.sample_seed
        )

    def _row(self, name: str, axes: Mapping[str, Any], *, is_baseline: bool = False) -> Variant:
        other = {axis: v for axis, v in axes.items() if v != self.base[axis] and not axis.startswith("data.")}
        curve = self._format(other) or self.named
        try:
            model, train, measure, data = (self._config(group, axes) for group in GROUPS)
            model = _at_scale(model, data.scale)
        except ImpossibleConfigError as impossible:
            train, measure = self.ablation.train, self.ablation.measure
            return Variant(
                name=name, axes=axes, curve=curve, model=None, train=train, measure=measure, reason=str(impossible)
            )
        return Variant(
            name=name,
            axes=axes,
            curve=curve,
            model=model,
            train=train,
            measure=measure,
            data=data,
            is_baseline=is_baseline,
        )

    def _config(self, group: str, axes: Mapping[str, Any]) -> Any:
        """The config of one group (model, train, measure or data) under these settings."""
        if not self._fields[group]:
            return getattr(self.ablation, GROUPS[group])
        fields = [name for name in self._fields[group] if name in axes]
        key = group, *[id(axes[name]) for name in fields]
        if key not in self._configs:
            values = {name.rpartition(".")[2]: axes[name] for name in fields}
            self._configs[key] = with_values(getattr(self.ablation, GROUPS[group]), values)
        return self._configs[key]

    def _references(self) -> Iterator[Variant]:
        """The references, each under the baseline's settings and along the axes of training and data."""
        references, baseline = self.ablation.references, self.ablation.baseline
        named = references if isinstance(references, Mapping) else {model_name(m): m for m in references}
        if len(named) < len(references):
            raise ConfigError("two references have the same name: write references={'name': config, …}")
        if not named:
            return
        shape = {name: getattr(baseline, name) for name in DATA_FIELDS}
        crossed = [axis for axis in self.ablation.axes if group_of(axis) in CROSSED]
        met = ({axis: cell[axis] for axis in crossed} for cell in self._cells())
        cells = {tuple(map(repr, cell.values())): cell for cell in met}
        for name, model in named.items():
            for axes in cells.values():
                changed = {axis: value for axis, value in axes.items() if value != self.base[axis]}
                row = self._row(f"{name},{self._format(changed)}" if changed else name, axes)
                curve = ",".join([name, *([row.curve] if row.curve != self.named else [])])
                row = dataclasses.replace(row, reference=name, curve=curve)
                try:
                    fitted = _at_scale(adapt_to_data(model, **shape), row.data.scale)
                except ImpossibleConfigError as impossible:
                    yield dataclasses.replace(row, model=None, reason=str(impossible))
                    continue
                yield dataclasses.replace(row, model=None if row.reason else fitted)

    def _name(self, axes: Mapping[str, Any], *, is_baseline: bool) -> str:
        declared = {axis: axes[axis] for axis in self.ablation.axes}
        if not declared:
            return "baseline" if self.ablation.combined else self.named
        if is_baseline and len(declared) > 1:
            return "baseline"
        if self.ablation.design in designs.CROSSED or len(declared) == 1:
            return self._format(declared)
        return self._format({axis: value for axis, value in declared.items() if value != self.base[axis]})

    def _format(self, axes: Mapping[str, Any]) -> str:
        """``format_axes``, with each setting formatted once."""
        said = []
        for axis, value in axes.items():
            key = axis, id(value)
            if key not in self._words:
                self._words[key] = format_axes({axis: value})
            said.append(self._words[key])
        return ",".join(said)


def _at_scale(model: ModelConfig, scale: float) -> ModelConfig:
    """The model adapted to the same data at another resolution."""
    if scale == 1:
        return model
    height, width = (scaled(side, scale) for side in as_pair(model.img_size))
    size = height if height == width else (height, width)
    return adapt_to_data(model, img_size=size, in_chans=model.in_chans, num_classes=model.num_classes)


def _without_teacher(row: Variant) -> Variant:
    """The variant as a teacher, which is not taught itself."""
    return dataclasses.replace(row, train=dataclasses.replace(row.train, teacher=None, distillation="none"))


def check_needs(by_name: Mapping[str, Variant]) -> None:
    """Raises ConfigError if a variant needs one that does not exist, or two need each other."""
    chains = [[name] for name, row in by_name.items() if row.borrows]
    while chains:
        chain = chains.pop()
        for role, needed in by_name[chain[-1]].needs.items():
            if needed not in by_name:
                others = [name for name in by_name if name != chain[-1]]
                raise ConfigError(f"{chain[-1]} has {role}='variant:{needed}': {unknown('variant', needed, others)}")
            if needed in chain:
                raise ConfigError(f"{' needs '.join([*chain, needed])}: a variant cannot wait for itself")
            chains.append([*chain, needed])


def impossible_needs(row: Variant, by_name: Mapping[str, Variant]) -> str | None:
    """Why a variant is impossible because of one that it needs; None if all of those are possible."""
    for role, name in row.needs.items():
        needed = by_name[name]
        if reason := needed.reason or impossible_needs(needed, by_name):
            return f"{ROLES[role]} {name} is impossible: {reason}"
    return None
