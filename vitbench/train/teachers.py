"""Teachers for distillation, loaded from ``TrainConfig.teacher``."""

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
"""Prefix of a teacher that is a row of the same ablation; it is trained first and passed on as a file."""


def load_teacher(
    teacher: str, spec: DataSpec, *, weights: Path | None = None, config: ModelConfig | None = None
) -> nn.Module:
    """The teacher with its weights, on the CPU and in evaluation mode.

    Args:
        teacher: a checkpoint file; ``NAME:FILE``, with the zoo name of the model in the file; or ``variant:NAME`` with
            ``weights``.
        spec: the data set that the teacher will see.
        weights: the file of a teacher that was just trained; takes precedence over ``teacher``.
        config: the model in ``weights``, if the file does not store it.

    Raises:
        UserError: the file does not exist, or the model does not match the file or the data.
    """
    path, named = (weights, config) if weights is not None else _named(teacher, spec)
    made = config_from_checkpoint(path) if named is None else named
    _check_fit(teacher, made, spec)
    module = build(made)
    load_weights(module, path)
    return module.eval()


def _named(teacher: str, spec: DataSpec) -> tuple[Path, ModelConfig | None]:
    """The file of the teacher, and its config if ``teacher`` names a zoo model."""
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
