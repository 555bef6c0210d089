"""The report of loading a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class LoadReport:
    """What happened to every tensor of the file and of the model."""

    format: str  # whose names the file has
    loaded: tuple[str, ...]  # tensors of the model that now hold the file's numbers
    resized: Mapping[str, str] = field(default_factory=dict)  # of these → from which grid to which, and how
    dropped: Mapping[str, str] = field(default_factory=dict)  # of the file, not loaded → why
    missing: Mapping[str, str] = field(default_factory=dict)  # of the model, left as they were → why
    warnings: tuple[str, ...] = ()  # reasons why the logits may differ from the author's

    def __str__(self) -> str:
        lines = [f"{self.format}: {len(self.loaded)} tensors loaded"]
        for word, what in (("resized", self.resized), ("dropped", self.dropped), ("missing", self.missing)):
            lines += [f"{word} {name}: {why}" for name, why in what.items()]
        return "\n".join([*lines, *(f"warning: {text}" for text in self.warnings)])
