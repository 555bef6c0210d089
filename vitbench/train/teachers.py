"""Who teaches: ``TrainConfig.teacher`` → a module with its weights."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from vitbench.data.spec import DataSpec
from vitbench.declare.families import adapt_to_data, family_of
from vitbench.declare.model import ModelConfig
from vitbench.declare.zoo import names, zoo
from vitbench.models import build
from vitbench.models.weights import config_from_checkpoint, load_weights
from vitbench.utils.errors import UserError

VARIANT = "variant:"
"""Of a row of the same ablation, which is trained first and handed over as a file."""


def load_teacher(
    teacher: str, spec: DataSpec, *, weights: Path | None = None, config: ModelConfig | None = None
) -> nn.Module:
    """The teacher with its weights, on the CPU and in evaluation mode.

    Args:
        teacher: a checkpoint file; ``NAME:FILE``, a name of the zoo for a file that does not show its model; or
            ``variant:NAME`` with ``weights``.
        spec: of the data that it will see.
        weights: the file of a teacher that was trained just before; it goes before ``teacher``.
        config: of that file's model, where the file does not hold it.

    Raises:
        UserError: there is no such file, it does not fit its model, or the teacher does not fit the data.
    """
    path, named = (weights, config) if weights is not None else _named(teacher, spec)
    made = config_from_checkpoint(path) if named is None else named
    _check_fit(teacher, made, spec)
    module = build(made)
    load_weights(module, path)
    return module.eval()


def _named(teacher: str, spec: DataSpec) -> tuple[Path, ModelConfig | None]:
    """The file, and the config where the name says it."""
    if teacher.startswith(VARIANT):
        raise UserError(
            f"teacher={teacher} is a row of an ablation, which is trained first: "
            "run it with python -m vitbench.ablate, or give a checkpoint file"
        )
    name, colon, file = teacher.partition(":")
    if name in names() and not Path(teacher).exists():
        if not (colon and file):
            raise UserError(
                f"teacher={teacher} is a model without weights: add its file ({teacher}:FILE), or train it first as a "
                "row of the same ablation (variant:NAME)"
            )
        return Path(file), adapt_to_data(
            zoo(name), img_size=spec.img_size, in_chans=spec.in_chans, num_classes=spec.num_classes
        )
    return Path(teacher), None


def _check_fit(teacher: str, config: ModelConfig, spec: DataSpec) -> None:
    """Raises UserError where the teacher was made for other classes or images than the data has."""
    pairs = [("num_classes", spec.num_classes, "classes"), ("in_chans", spec.in_chans, "channels")]
    if family_of(config).takes_any_img_size is False:
        pairs.append(("img_size", spec.img_size, "pixels"))
    for field, needed, word in pairs:
        value = getattr(config, field)
        if value not in (needed, (needed, needed)):
            raise UserError(
                f"the teacher {teacher} is for {value} {word} and {spec.name} has {needed}: "
                "take a teacher that was trained on such data"
            )
