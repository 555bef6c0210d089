"""The size candidates of a config, as its family declares them, without those that the config refuses."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from vitbench.declare.families import family_of
from vitbench.declare.model import ModelConfig
from vitbench.models.size_candidates import SizeCandidates, Sizes
from vitbench.utils.errors import ImpossibleConfigError, UserError, choices, unknown
from vitbench.utils.lazy import resolve


def sizes_of(config: ModelConfig) -> Sizes | None:
    """How the models of this family grow and shrink; None where the family does not say.

    Raises:
        ConfigError: no such family.
    """
    place = family_of(config).sizes
    return None if place is None else resolve(place)


def size_candidates(config: ModelConfig, vary: Sequence[str] | None) -> list[SizeCandidates]:
    """The size candidates of the settings in ``vary``; None: of the family's usual ones.

    Raises:
        UserError: the family has no sizes, nothing is named, a setting that is not one of them, or two that change the
            same field.
    """
    sizes = sizes_of(config)
    kind = type(config).__name__
    if sizes is None:
        raise UserError(
            f"{getattr(config, 'source', kind)} has no size that can vary: match a config of another family to it, "
            "with this one as to="
        )
    names = sizes.usual if vary is None else (vary,) if isinstance(vary, str) else tuple(vary)
    if not names:
        raise UserError(f"nothing can vary: a {kind} has {choices(sizes.candidates)}; write vary={sizes.usual!r}")
    for name in names:
        if name not in sizes.candidates:
            raise UserError(unknown(f"size of a {kind} to vary", name, sizes.candidates))
    if len(set(names)) < len(names):
        raise UserError(f"vary={names!r} names a setting twice: name each once, the first to give way first")
    found = [sizes.candidates[name](config) for name in names]
    changed: dict[str, str] = {}  # field → the setting that changes it
    for one in found:
        for field in one.fields(one.own):
            if (other := changed.setdefault(field, one.name)) != one.name:
                raise UserError(f"{other} and {one.name} cannot both vary, as both change {field}: leave one out")
    return [_possible(config, one) for one in found]


def at(config: ModelConfig, sizes: Iterable[tuple[SizeCandidates, int]]) -> ModelConfig:
    """The config at these sizes, all changed at once."""
    fields = {name: value for one, size in sizes if size != one.own for name, value in one.fields(size).items()}
    return dataclasses.replace(config, **fields)


def _possible(config: ModelConfig, candidates: SizeCandidates) -> SizeCandidates:
    """Without the sizes that the config refuses."""

    def exists(size: int) -> bool:
        try:
            at(config, [(candidates, size)])
        except ImpossibleConfigError:
            return False
        return True

    return dataclasses.replace(candidates, sizes=tuple(filter(exists, candidates.sizes)))
