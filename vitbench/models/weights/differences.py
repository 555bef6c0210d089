"""Settings that change the logits without changing a shape: those of the file compared with the model's."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import fields

from vitbench.declare.model import ModelConfig
from vitbench.declare.vit import ViTConfig
from vitbench.models.weights.checkpoint import Checkpoint
from vitbench.models.weights.formats import Converted, number_of_heads
from vitbench.models.weights.inferring import infer
from vitbench.models.weights.published import HEAD_SIZE
from vitbench.models.weights.rules import Format
from vitbench.utils.errors import UserError

NO_DIFFERENCE = frozenset(
    {
        *("img_size", "num_classes", "num_heads", "mlp_ratio", "hybrid_layers", "hybrid_width"),
        *("depth", "layers", "block", "init", "pos_embed_std", "layer_scale", "attention", "drop_path_schedule"),
    }
)
"""Settings that change no logits in evaluation mode if the weights fit, or that are compared separately."""


def differences(
    checkpoint: Checkpoint,
    form: Format,
    converted: Converted,
    config: ModelConfig,
    loaded: Collection[str],
) -> Iterable[str]:
    """Reasons why the logits of ``config`` with this file may differ from its author's, a sentence each."""
    try:
        theirs = infer(checkpoint, form, converted).config
    except UserError as error:
        yield f"knobs that change no shape were not compared: {error}"
        return
    if type(theirs) is not type(config):
        return
    for knob in fields(theirs):
        name, there, here = knob.name, getattr(theirs, knob.name), getattr(config, knob.name)
        if here == there or name in NO_DIFFERENCE or name.endswith("_rate"):
            continue
        if name == "representation_size" and "pre_logits.fc.weight" not in loaded:
            continue  # the caller dropped it, as the report shows
        yield f"the file was made with {name}={there}, this model has {here}: its logits differ"
    if isinstance(theirs, ViTConfig) and isinstance(config, ViTConfig):
        yield from _heads(checkpoint, theirs.num_heads, config.num_heads)
    if form.name == "Google JAX" and getattr(config, "stem", "") == "hybrid":
        yield "JAX adds 1e-5 to a filter's deviation, this model 1e-8 to its variance: logits differ by about 1e-5"


def _heads(checkpoint: Checkpoint, theirs: int, ours: int) -> Iterable[str]:
    if theirs == ours:
        return
    if checkpoint.config is not None:
        yield f"the file was made with num_heads={theirs}, this model has {ours}: its logits differ"
    elif number_of_heads(checkpoint.tensors) is None:
        yield (
            f"the file does not show its number of heads; num_heads={ours} is this model's, "
            f"{theirs} would be usual (heads of {HEAD_SIZE}): with a wrong one its logits differ"
        )
