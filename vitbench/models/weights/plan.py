"""Assigns the tensors of a checkpoint to a model: decided by shapes, before any number is read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from torch import Tensor

from vitbench.declare.model import ModelConfig
from vitbench.declare.vit import ViTConfig
from vitbench.models.weights.checkpoint import Checkpoint, damaged
from vitbench.models.weights.differences import differences
from vitbench.models.weights.formats import Converted, convert, number_of_heads
from vitbench.models.weights.inferring import infer
from vitbench.models.weights.positions import Positions
from vitbench.models.weights.published import nearest_name
from vitbench.models.weights.report import LoadReport
from vitbench.models.weights.rules import Format
from vitbench.utils.errors import UserError, choices, unknown

HEADS = ("head.", "head_dist.", "fc.")
"""Prefixes of classifiers, which ``replace_head`` may leave as they are."""


class Plan:
    """Which tensor goes where, by shapes alone; then the numbers, read once."""

    def __init__(
        self, checkpoint: Checkpoint, form: Format, converted: Converted, target: Mapping[str, Tensor], config: Any
    ) -> None:
        self.checkpoint, self.form, self.target, self.config = checkpoint, form, target, config
        self.converted = converted
        self.offered = dict(converted.tensors)  # tensors of the file for the model, by name
        self.dropped = dict(checkpoint.beside) | converted.dropped
        self.missing: dict[str, str] = {}
        self.other_classes = ""  # the error for a head that does not fit and is not to be replaced
        self.positions = Positions(checkpoint, converted)

    def leave(self, drop: Collection[str]) -> None:
        """Drops the tensors that the caller asked to drop."""
        for start in drop:
            names = [name for name in self.offered if name == start or name.startswith(f"{start}.")]
            if not names:
                raise UserError(unknown(f"tensor of {self.checkpoint.path} to drop", start, self._beginnings()))
            self._drop(names, "it was asked to be left out")

    def fit_head(self, *, replace_head: bool) -> None:
        """Keeps the model's classifier if its classes are not the file's and the caller asked for that."""
        ours = {name for name in self.target if name.startswith(HEADS)}
        theirs = {name for name in self.offered if name.startswith(HEADS)}
        here, there = _classes(self.target, ours), _classes(self.offered, theirs)
        if here == there:
            return
        if not replace_head:
            self.other_classes = (
                f"{self.checkpoint.path} is for {there} classes and the model for {here}: "
                f"build it with num_classes={there}, or keep the model's own head with replace_head=True"
            )
        reason = f"the file has {there} classes, the model {here}"
        self._drop(theirs, reason)
        self.missing |= dict.fromkeys(sorted(ours), reason)

    def fit_positions(self, method: str) -> None:
        """Plans how tensors that depend on the grid of patches go from the file's grid to the model's."""
        if isinstance(self.config, ViTConfig):
            self.dropped |= self.positions.fit(self.offered, self.target, self.config, method)

    def check(self) -> None:
        """Checks that every tensor has its place, its shape and its kind of numbers.

        Raises:
            UserError: one has not; the message names it, and the published name that would fit.
        """
        optional = {n for n in self.target if n.endswith("num_batches_tracked")}  # torchvision's oldest files lack it
        if isinstance(self.config, ViTConfig) and self.config.pos_embed != "learned":
            optional.add("pos_embed")  # computed
        wanting = [n for n in self.target if n not in self.offered and n not in self.missing]
        self.missing |= {name: "the file has none to load; it stays" for name in wanting if name in optional}
        extra = [name for name in self.offered if name not in self.target]
        lacking = [name for name in wanting if name not in optional]
        both = [name for name in self.offered if name in self.target]
        unlike = [
            f"{name} ({_shape(self.offered[name])} in the file, {_shape(self.target[name])} in the model)"
            for name in both
            if self.offered[name].shape != self.target[name].shape
        ]
        if extra or lacking or unlike:
            raise UserError(self._misfit(extra, lacking, unlike))
        if self.other_classes:
            raise UserError(self.other_classes)
        kinds = [n for n in both if self.offered[n].is_floating_point() != self.target[n].is_floating_point()]
        if kinds:
            raise UserError(f"{self.checkpoint.path}: {_some(kinds)} hold {self.offered[kinds[0]].dtype}: not weights")
        heads = number_of_heads(self.checkpoint.tensors)
        if heads and isinstance(self.config, ViTConfig) and heads != self.config.num_heads:
            raise UserError(
                f"{self.checkpoint.path} has {heads} heads and the model {self.config.num_heads}: "
                f"build it with num_heads={heads}"
            )

    def _misfit(self, extra: list[str], lacking: list[str], unlike: list[str]) -> str:
        parts = [
            f"{words} {_some(names)}"
            for words, names in (
                ("other shapes:", unlike),
                ("only in the file:", extra),
                ("only in the model:", lacking),
            )
            if names
        ]
        return f"{self.checkpoint.path} ({self.form.name}) does not fit the model; {'; '.join(parts)}; {self._remedy()}"

    def _remedy(self) -> str:
        try:
            inferred = infer(self.checkpoint, self.form, self.converted).config
        except UserError as error:
            return str(error)
        name = nearest_name(inferred)
        head = f", num_classes={inferred.num_classes}" if name else ""
        which = f"zoo({name!r}){head}" if name else f"config_from_checkpoint({str(self.checkpoint.path)!r})"
        return f"a model of {which} would take it"

    def values(self) -> dict[str, Tensor]:
        """The values of the tensors, in the model's shapes."""
        wanted = {source for name in self.offered for source in self.converted.sources[name]}
        real = convert(self.form, self.checkpoint.read(sorted(wanted))).tensors
        values = {n: self.positions.resize(n, real[n]) for n in self.offered}
        if any(value.shape != self.target[name].shape for name, value in values.items()):
            raise damaged(self.checkpoint.path, "its tensors are not of the shapes it says")
        return values

    def report(self) -> LoadReport:
        return LoadReport(
            format=self.form.name,
            loaded=tuple(self.offered),
            resized=self.positions.resized,
            dropped=self.dropped,
            missing=self.missing,
            warnings=tuple(self._rounded()) + tuple(self._differences()),
        )

    def _rounded(self) -> Iterable[str]:
        for dtype in {t.dtype for n, t in self.offered.items() if t.dtype.itemsize > self.target[n].dtype.itemsize}:
            yield f"the file's numbers are {dtype}, the model's are shorter: they were rounded"

    def _differences(self) -> Iterable[str]:
        if isinstance(self.config, ModelConfig):
            yield from differences(self.checkpoint, self.form, self.converted, self.config, set(self.offered))

    def _drop(self, names: Iterable[str], reason: str) -> None:
        for name in sorted(names):
            del self.offered[name]
            self.dropped |= dict.fromkeys(self.converted.sources[name], reason)

    def _beginnings(self) -> list[str]:
        return list(dict.fromkeys(name.partition(".")[0] for name in self.offered))


def _classes(tensors: Mapping[str, Tensor], heads: Iterable[str]) -> int:
    return next((len(tensors[name]) for name in sorted(heads) if name.endswith("weight")), 0)


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape))


def _some(names: Collection[str], most: int = 3) -> str:
    listed = list(names)
    more = len(listed) - most
    return choices(listed[:most]) + (f" and {more} more" if more > 0 else "")
