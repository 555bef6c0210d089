"""A trial: what one job measures, and the ids of the records that it will give. No torch."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from vitbench.ablation import Variant
from vitbench.config import ExternalConfig, as_dict
from vitbench.records import digest, identity

Kind: TypeAlias = Literal["cost", "memory", "latency", "train_step", "throughput", "accuracy"]

ROOMS: dict[Kind, tuple[str, ...]] = {
    "cost": ("models", "measure"),
    "memory": ("models", "measure"),
    "latency": ("models", "measure"),
    "train_step": ("models", "measure"),
    "throughput": ("models", "measure"),
    "accuracy": ("models", "data", "train"),
}
"""Whose version numbers a kind's ids cover: a better recipe leaves the latencies standing."""

SESSIONS: tuple[Kind, ...] = ("latency", "train_step", "throughput")
"""Kinds that time all variants together, with the machine to themselves."""

KINDS: tuple[Kind, ...] = ("cost", "memory", *SESSIONS, "accuracy")
"""In the order in which they are run."""

CONTROLLED: tuple[Kind, ...] = ("latency", "train_step")
"""Sessions in which a clone of the baseline takes part; its record is of the kind ``…_control``."""

WINDOW_S, WINDOWS = 2.0, 2
"""Throughput: seconds of back-to-back calls in a window, and windows a variant."""

MODELLED_BY = ("batch_size", "dtype", "checkpoint_activations")
"""Measurement settings on which memory depends."""

CALLED_UNDER = ("batch_size", "dtype", "threads", "compile", "channels_last")
"""Measurement settings on which a forward call depends."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """One job's worth of measuring.

    Attributes:
        kind: what is measured.
        variants: one; all of them, the baseline first, in a session.
        device: ``cpu`` or ``cuda``.
        data: the data set's name and version; accuracy only.
        seed: accuracy only.
        sources: of external models, each with the digest of its file: whoever edits a model gets new numbers.
    """

    kind: Kind
    variants: tuple[Variant, ...]
    device: str
    data: tuple[str, str] | None = None
    seed: int | None = None
    sources: tuple[tuple[str, str], ...] = ()

    @property
    def alone(self) -> bool:
        """Whether it needs the machine to itself."""
        return self.kind in SESSIONS

    @property
    def label(self) -> str:
        """As a progress view names it: ``accuracy pos_embed=none seed 3``, ``latency of 5 variants``."""
        what = self.kind.replace("_", " ")
        if self.alone:
            return f"{what} of {len(self.variants)} variant{'s' * (len(self.variants) != 1)}"
        return f"{what} {self.variants[0].name}" + ("" if self.seed is None else f" seed {self.seed}")

    @functools.cached_property
    def session(self) -> str | None:
        """The id of a joint timing: a hash of the set of variants and the settings."""
        if not self.alone:
            return None
        members = sorted(self._alone_id(variant) for variant in self.variants)
        return digest({"kind": self.kind, "baseline": self._alone_id(self.variants[0]), "members": members})

    def settings(self, variant: Variant) -> dict[str, Any]:
        """The settings that determine this kind's numbers, beside model, data and recipe."""
        if isinstance(variant.model, ExternalConfig) and variant.model.source in (sources := dict(self.sources)):
            return {**self._settings(variant), "source": sources[variant.model.source]}
        return self._settings(variant)

    def _settings(self, variant: Variant) -> dict[str, Any]:
        measure = {key: value for key, value in as_dict(variant.measure).items() if key != "type"}
        if self.kind == "cost":
            return {}
        if self.kind == "memory":
            return {"device": self.device} | {key: measure[key] for key in MODELLED_BY}
        if self.kind == "accuracy":
            return {"device": self.device, "threads": 1}
        if self.kind == "throughput":
            shared = {key: measure[key] for key in CALLED_UNDER}
            return {"device": self.device, **shared, "window_s": WINDOW_S, "windows": WINDOWS}
        return {"device": self.device, **measure}

    def id(self, variant: Variant, *, control: bool = False) -> str:
        """The id of a record of the variant: of the session's if there is one."""
        kind = f"{self.kind}_control" if control else self.kind
        return self._identity(kind, variant, self.session)

    def failure_id(self, variant: Variant) -> str:
        """The id of the record that says why the variant could not be measured: of no session, since it was in none."""
        return self._alone_id(variant)

    def _alone_id(self, variant: Variant) -> str:
        return self._identity(self.kind, variant, None)

    def _identity(self, kind: str, variant: Variant, session: str | None) -> str:
        accuracy = self.kind == "accuracy"
        return identity(
            kind,
            None if variant.model is None else as_dict(variant.model),
            rooms=ROOMS[self.kind],
            data={"name": self.data[0], "version": self.data[1]} if accuracy and self.data else None,
            train=as_dict(variant.train) if accuracy else None,
            seed=self.seed,
            settings=self.settings(variant),
            session=session,
        )
