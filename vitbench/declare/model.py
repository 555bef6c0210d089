"""What every model's config has, and what a family of models declares about itself. Loads no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vitbench.declare.checked import Checked
from vitbench.declare.sizes import Size


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Checked):
    """The settings of every model, given by the data set. Each family adds its own in a subclass."""

    img_size: Size = 224
    in_chans: int = 3
    num_classes: int = 1000  # 0, where a family allows it: no classifier, the model returns its pooled features

    def _check(self) -> None:
        self._at_least(1, "img_size", "in_chans")
        self._at_least(0, "num_classes")


@dataclass(frozen=True, kw_only=True)
class Family:
    """A family of models: its configs, and where to find what can be done with them.

    A string ``module:name`` is imported when it is first used, because it may load torch. Whatever a family leaves at
    None is refused by name, or measured in another way, and never guessed from another family.

    Attributes:
        name: as tables, figures and reports show it; None: each model is a family of its own, named by its label.
        config: the class of its configs.
        label: config → a short name for a model that was given none.
        build: ``module:name`` of a callable: config → ``nn.Module``.
        builds_on_meta: whether ``build`` works under ``torch.device("meta")``, where a model takes no memory.
        takes_any_img_size: whether a built model accepts images of another size than its config's; None: unknown.
        products: ``module:name`` of a callable: config → every ``Product`` of one image's forward pass.
        memory: ``module:name`` of a callable: config, batch size, ``training=`` → elements alive at the peak of memory,
            by part; it returns None for a config that its formula does not cover.
        sizes: ``module:name`` of the ``Sizes`` in which a model can grow and shrink to match another one's cost.
        adapt: what else changes with the data: config with the new data's fields → config.
        source: config → the ``module:name`` whose code makes the model, where the config itself says it; ids cover the
            content of its file. None: ``build``, unless that is part of vitbench.
        compare_as_json: whether the configs hold values of any type, where ``True == 1`` and an id tells them apart.
    """

    name: str | None
    config: type[ModelConfig]
    label: Callable[[Any], str]
    build: str
    builds_on_meta: bool = False
    takes_any_img_size: bool | None = None
    products: str | None = None
    memory: str | None = None
    sizes: str | None = None
    adapt: Callable[[Any], ModelConfig] | None = None
    source: Callable[[Any], str] | None = None
    compare_as_json: bool = False
