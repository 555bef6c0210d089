"""What was asked for, made ready: config, weights, data, normalisation. Cheap checks come before costly ones."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import nn

from vitbench.data import Dataset, DataSpec, folder, load
from vitbench.data.decode import Interpolation, Resize
from vitbench.declare.checked import with_values
from vitbench.declare.model import ModelConfig
from vitbench.declare.sizes import as_pair
from vitbench.declare.zoo import names, zoo
from vitbench.evaluate.class_map import class_map
from vitbench.evaluate.preprocessing import (
    FILES,
    INTERPOLATIONS,
    WORDS,
    Family,
    Images,
    family_of,
    images_for,
    resize_of,
)
from vitbench.models import build
from vitbench.models.weights import LoadReport, load_weights
from vitbench.models.weights.formats import convert, recognise
from vitbench.models.weights.inferring import infer
from vitbench.models.weights.opening import open_checkpoint
from vitbench.utils.errors import UserError, choices, unknown

AUTO = "auto"


@dataclass(frozen=True)
class Ready:
    """All that an evaluation takes."""

    config: ModelConfig
    model: nn.Module  # on its device, with the weights
    dataset: Dataset
    images: Images
    outputs: tuple[int, ...] | None  # which of the model's outputs are the classes; None: all
    report: LoadReport
    assumptions: tuple[str, ...]  # about the config, where the file does not show it


def prepare(
    model: str,
    weights: str,
    data: str,
    *,
    img_size: int | None = None,
    normalise: str | None = None,
    crop: float | None = None,
    interpolation: str | None = None,
    class_map_file: str | None = None,
    device: str = "cpu",
) -> Ready:
    """Reads weights and data, and checks that they go together.

    Args:
        model: a zoo name, whose classes and channels follow the file; or ``auto``, all from the file.
        weights: a checkpoint, of any format that ``load_weights`` reads.
        data: the name of a data set.
        img_size: side of the model's images; None: as the config has it.
        normalise: ``data``, ``imagenet`` or ``half``, see ``images.images_for``; None: as the file's family has it.
        crop: share of the shorter side that is cut from the middle.
        interpolation: ``bilinear`` or ``bicubic``; None: as the file's family has it.
        class_map_file: see ``class_map``.
        device: where the model goes.

    Raises:
        UserError: whatever does not exist or does not fit.
    """
    if crop is not None and not 0 < crop <= 1:
        raise UserError(f"crop {crop:g} is no share of an image: it takes more than 0, at most 1")
    if normalise is not None and normalise not in WORDS:
        raise UserError(unknown("normalisation", normalise, WORDS))
    if interpolation is not None and interpolation not in INTERPOLATIONS:
        raise UserError(unknown("interpolation", interpolation, INTERPOLATIONS))
    asked = cast("Interpolation | None", interpolation)
    config, family, assumptions = _config(model, weights, img_size)
    side, across = as_pair(config.img_size)
    if side != across:
        raise UserError(
            f"{model} takes images of {side}×{across}: square ones can be evaluated, with --img-size {side}"
        )
    resize = resize_of(family, side, crop=crop, interpolation=asked)
    dataset, decoded = _dataset(data, side, resize, statistics=(normalise or family.normalise) == "data")
    outputs = _outputs(config, weights, data, dataset.spec, class_map_file)
    images = images_for(dataset, side, family, normalise=normalise, crop=crop, interpolation=asked, decoded=decoded)
    torch.manual_seed(0)
    module = build(config)
    try:
        report = load_weights(module, weights)
    except UserError as error:
        raise UserError(str(error) if model == AUTO else f"{error}; here that is: type {AUTO} for {model}") from error
    return Ready(config, module.to(device).eval(), dataset, images, outputs, report, tuple(assumptions))


def _config(model: str, weights: str, img_size: int | None) -> tuple[ModelConfig, Family, Sequence[str]]:
    if model != AUTO and model not in names():
        raise UserError(unknown("model", model, (AUTO, *names())))
    checkpoint = open_checkpoint(weights)
    form = recognise(checkpoint)
    family = family_of(checkpoint, form)
    config: ModelConfig
    said: Sequence[str] = ()
    try:
        inferred = infer(checkpoint, form, convert(form, checkpoint.tensors))
    except UserError:
        if model == AUTO:
            raise
        config = zoo(model)  # loading names what does not fit
    else:
        theirs = inferred.config
        if model == AUTO:
            config, said = theirs, [text for text in inferred.assumptions if img_size is None or "img" not in text]
        else:
            config = with_values(zoo(model), {"num_classes": theirs.num_classes, "in_chans": theirs.in_chans})
        if not theirs.num_classes:
            raise UserError(f"{weights} has no classifier: its features are of no class; fine-tune it first")
    if img_size is not None:
        config = with_values(config, {"img_size": img_size})
    return config, family, said


def _dataset(data: str, side: int, resize: Resize | None, *, statistics: bool) -> tuple[Dataset, Resize | None]:
    """The data set, and how its files are resized when they are decoded, unless the user gave their size.

    Of files the training images are decoded only where their mean and deviation are asked for.
    """
    kind, _, path = data.partition(":")
    if not data.startswith(FILES) or not path:
        return load(data), None
    if re.fullmatch(r".+@\d+", path) is not None and not Path(path).expanduser().is_dir():
        resize = None
    else:
        path = f"{path}@{side}"
    if not statistics:
        return folder.load_undecoded(kind, path, resize), resize
    whole = load(f"{kind}:{path}")
    if resize is None:
        return whole, None
    apart = folder.load_undecoded(kind, path, resize)
    return dataclasses.replace(apart, mean=whole.mean, std=whole.std), resize


def _outputs(config: ModelConfig, weights: str, data: str, spec: DataSpec, file: str | None) -> tuple[int, ...] | None:
    if config.in_chans != spec.in_chans:
        raise UserError(
            f"{weights} takes images of {config.in_chans} channels, {data} has {spec.in_chans}: they do not go together"
        )
    if file is not None:
        return class_map(file, spec.classes, config.num_classes)
    if config.num_classes != spec.num_classes:
        few = choices(spec.classes[:3]) + ", …" * (spec.num_classes > 3)
        raise UserError(
            f"{weights} is for {config.num_classes} classes and {data} has {spec.num_classes} ({few}): evaluating "
            "needs the same classes; give --class-map FILE with a line a class, name,output"
        )
    return None
