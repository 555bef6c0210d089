"""``Quantity``: all that vitbench has to know about something that it measures, besides the measuring function."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

from vitbench.declare.measure import MeasureConfig
from vitbench.declare.quantities.column import Column, Format
from vitbench.utils.errors import ConfigError, unknown

Per: TypeAlias = Literal["variant", "seed", "try", "session", "machine"]
Compare: TypeAlias = Literal["none", "ratio", "difference"]
Duration: TypeAlias = Literal["training", "forward", "train_step"]

COMPONENTS = ("models", "data", "train", "measure")
ESTIMATES = ("scalar", "windows", "blocks", "crossed")
SETTINGS = ("device", *(f.name for f in dataclasses.fields(MeasureConfig)))
MUST_MATCH = ("host", "packages", "data", "train", *SETTINGS)
CONTROL = "_control"
"""End of the kind of a record that holds the clone of the baseline in a timing session."""

NOT_MEASURED = ("plan", "skip")
"""Kinds of records that hold no measurement."""


def no_extra_settings(_: MeasureConfig) -> Mapping[str, Any]:
    """No further settings."""
    return {}


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A measured quantity.

    Attributes:
        kind: its name in records.
        measure: ``module:function``, resolved in the worker. The function takes the trial and a callback that it tells
            what it is busy with, and returns one ``vitbench.run.measuring_functions.Measured`` per variant.
        per: what one trial measures: a ``variant``; a ``seed`` of a variant (data, recipe and seed are part of the id);
            a ``try`` of its tuning; all variants in one ``session``; the ``machine``, whatever the model.
        order: quantities are measured in this order.
        phase: quantities with the same phase are measured together; by default its kind.
        exclusive: whether a trial needs the machine to itself.
        uses_device: whether it runs on the device; what only counts or models runs on the CPU, and side by side.
        control: whether a clone of the baseline is measured in each session.
        components: parts of vitbench whose versions are part of the id.
        settings: fields of ``MeasureConfig``, and ``device``, that are part of the id.
        more_settings: further settings that are part of the id, computed from the ``MeasureConfig``.
        must_match: what two records must have in common to be compared: ``host`` (the whole machine), ``packages``
            (versions), and names of settings.
        columns: of ``table.csv``.
        estimate: how samples become a value with an interval: ``scalar`` (one exact number), ``windows`` (the mean of a
            list), ``blocks`` (the mean of the medians of blocks of calls), ``crossed`` (one number per seed; their
            mean); or ``module:function``, a reader of its own, which returns frames by name.
        compare: how variants are compared with the baseline in the report's section: by a ratio or a difference.
        section: the title of its section in the report. None: other sections of the report show it.
        note: one sentence for that section: what the number means, and how it was measured.
        takes: seconds for one variant, or the formula of a first guess.
    """

    kind: str
    measure: str
    per: Per = "variant"
    order: int = 65
    phase: str = ""
    exclusive: bool = False
    uses_device: bool = True
    control: bool = False
    components: tuple[str, ...] = ("models", "measure")
    settings: tuple[str, ...] = ()
    more_settings: Callable[[MeasureConfig], Mapping[str, Any]] = no_extra_settings
    must_match: tuple[str, ...] = ("packages",)
    columns: tuple[Column, ...] = ()
    estimate: str = "scalar"
    compare: Compare = "none"
    section: str | None = None
    note: str = ""
    takes: float | Duration = 1.0

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\w+", self.kind) or self.kind.endswith(CONTROL) or self.kind in NOT_MEASURED:
            raise ConfigError(f"{self.kind!r} cannot be the kind of a quantity: type a word of letters, digits and _")
        if ":" not in self.measure:
            raise ConfigError(f"measure={self.measure!r} of {self.kind} names no function: type 'module:function'")
        self._check("per", [self.per], typing.get_args(Per))
        self._check("compare", [self.compare], typing.get_args(Compare))
        self._check("component", self.components, COMPONENTS)
        self._check("setting", self.settings, SETTINGS)
        self._check("must_match", self.must_match, MUST_MATCH)
        self._check("show", [column.show for column in self.columns], typing.get_args(Format))
        if ":" not in self.estimate:
            self._check("estimate", [self.estimate], ESTIMATES)
            self._check("start of a path", [c.path.partition(".")[0] for c in self.columns], ("values", "samples"))

    def _check(self, what: str, values: Sequence[str], known: Sequence[str]) -> None:
        for value in values:
            if value not in known:
                raise ConfigError(f"{unknown(what, value, known)} (in the quantity {self.kind!r})")

    @property
    def trained(self) -> bool:
        """Whether data, recipe and seed determine it."""
        return self.per in {"seed", "try"}

    @property
    def reusable(self) -> bool:
        """Whether another results folder may use its records: they depend on no other variant and no machine."""
        return self.trained or self.per == "variant"

    @property
    def measured_under(self) -> bool:
        """Whether any field of ``MeasureConfig`` is part of the id."""
        return set(self.settings) > {"device"}

    def settings_of(self, measure: MeasureConfig, device: str) -> dict[str, Any]:
        """The settings that are part of the id."""
        own = {name: device if name == "device" else getattr(measure, name) for name in self.settings}
        return own | dict(self.more_settings(measure))

    def as_dict(self) -> dict[str, Any]:
        """The declaration as plain JSON values, as far as reading the records needs it."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "more_settings"}
        return {**values, "columns": [dataclasses.asdict(column) for column in self.columns]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The declaration that ``as_dict`` wrote."""
        fields: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        fields["columns"] = tuple(Column(**column) for column in values["columns"])
        return cls(**fields)
