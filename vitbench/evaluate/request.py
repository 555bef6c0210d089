"""Preparation of an evaluation: model, weights, data and preprocessing. Cheap checks come before expensive ones."""

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
    NORMALISATIONS,
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
class PreparedEvaluation:
    """The inputs of an evaluation."""

    config: ModelConfig
    model: nn.Module  # on its device, with the weights
    dataset: Dataset
    images: Images
    outputs: tuple[int, ...] | None  # output of each class; None: all outputs, in order
    report: LoadReport
    assumptions: tuple[str, ...]  # about parts of the config that the file does not determine


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
) -> PreparedEvaluation:
    """The loaded weights and data, checked against each other.

    Args:
        model: a zoo name, with classes and channels taken from the file; or ``auto`` to infer all from the file.
        weights: a checkpoint in any format that ``load_weights`` reads.
        data: the name of a data set.
        img_size: side of the model's input, in pixels; None: the config's.
        normalise: ``data``, ``imagenet`` or ``half``, see ``preprocessing.images_for``; None: the family's.
        crop: side of the centre crop as a share of the shorter side; None: the family's.
        interpolation: ``bilinear`` or ``bicubic``; None: the family's.
        class_map_file: see ``class_map``; None: outputs in the order of the classes.
        device: device of the model.

    Raises:
        UserError: an argument is unknown or impossible, or the weights do not match the model or the data.
    """
    if crop is not None and not 0 < crop <= 1:
        raise UserError(f"crop {crop:g} is not a fraction: give more than 0, at most 1")
    if normalise is not None and normalise not in NORMALISATIONS:
        raise UserError(unknown("normalisation", normalise, NORMALISATIONS))
    if interpolation is not None and interpolation not in INTERPOLATIONS:
        raise UserError(unknown("interpolation", interpolation, INTERPOLATIONS))
    requested = cast("Interpolation | None", interpolation)
    config, family, assumptions = _config(model, weights, img_size)
    side, width = as_pair(config.img_size)
    if side != width:
        raise UserError(
            f"{model} takes images of {side}×{width}: only square images can be evaluated: give --img-size {side}"
        )
    resize = resize_of(family, side, crop=crop, interpolation=requested)
    dataset, decoded = _dataset(data, side, resize, statistics=(normalise or family.normalise) == "data")
    outputs = _outputs(config, weights, data, dataset.spec, class_map_file)
    images = images_for(dataset, side, family, normalise=normalise, crop=crop, interpolation=requested, decoded=decoded)
    torch.manual_seed(0)
    module = build(config)
    try:
        report = load_weights(module, weights)
    except UserError as error:
        raise UserError(str(error) if model == AUTO else f"{error}; that is, type {AUTO} for {model}") from error
    return PreparedEvaluation(config, module.to(device).eval(), dataset, images, outputs, report, tuple(assumptions))


def _config(model: str, weights: str, img_size: int | None) -> tuple[ModelConfig, Family, Sequence[str]]:
    if model != AUTO and model not in names():
        raise UserError(unknown("model", model, (AUTO, *names())))
    checkpoint = open_checkpoint(weights)
    form = recognise(checkpoint)
    family = family_of(checkpoint, form)
    config: ModelConfig
    assumptions: Sequence[str] = ()
    try:
        inferred = infer(checkpoint, form, convert(form, checkpoint.tensors))
    except UserError:
        if model == AUTO:
            raise
        config = zoo(model)  # loading the weights reports the mismatch
    else:
        stored = inferred.config
        if model == AUTO:
            config = stored
            assumptions = [text for text in inferred.assumptions if img_size is None or "img" not in text]
        else:
            config = with_values(zoo(model), {"num_classes": stored.num_classes, "in_chans": stored.in_chans})
        if not stored.num_classes:
            raise UserError(f"{weights} has no classifier: fine-tune it first")
    if img_size is not None:
        config = with_values(config, {"img_size": img_size})
    return config, family, assumptions


def _dataset(data: str, side: int, resize: Resize | None, *, statistics: bool) -> tuple[Dataset, Resize | None]:
    """The data set, and how the decoder resizes its files; None if the name of the data set fixes their size.

    Training images in files are decoded only if their statistics are needed.
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
    decoded = load(f"{kind}:{path}")
    if resize is None:
        return decoded, None
    undecoded = folder.load_undecoded(kind, path, resize)
    return dataclasses.replace(undecoded, mean=decoded.mean, std=decoded.std), resize


def _outputs(config: ModelConfig, weights: str, data: str, spec: DataSpec, file: str | None) -> tuple[int, ...] | None:
    if config.in_chans != spec.in_chans:
        raise UserError(
            f"{weights} needs images of {config.in_chans} channels, and {data} has {spec.in_chans}: "
            "take other data or weights"
        )
    if file is not None:
        return class_map(file, spec.classes, config.num_classes)
    if config.num_classes != spec.num_classes:
        first = choices(spec.classes[:3]) + ", …" * (spec.num_classes > 3)
        raise UserError(
            f"{weights} is for {config.num_classes} classes, and {data} has {spec.num_classes} ({first}): "
            "give --class-map FILE with one line per class: name,output"
        )
    return None
