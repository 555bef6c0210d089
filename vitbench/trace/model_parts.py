"""The part (attention, MLP, norm …) and the block that each module of a model belongs to.

The class of a module decides (``WindowAttention``, ``MLPBlock``, ``nn.LayerNorm``); for patch embedding and head, so
does its name in the model. A module that neither decides has no part: its time is counted as "other", never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from torch import nn

from vitbench.trace.attribution import Owner, Part

_ATTENTION = re.compile(r"(Attention|Attn)(Pool\w*|Rope\w*|V\d|\d[dD])?$")
_MLP = re.compile(r"((Mlp|MLP)(Block|Layer)?|FeedForward|FFN|SwiGLU\w*)$")
_NORM = re.compile(r"Norm(\d[dD])?(Act)?(\d[dD])?$")
_PATCH_EMBED = re.compile(r"^\w*Patch(ify|Embed\w*)$")
_PATCH_EMBED_NAMES = frozenset(
    {"patch_embed", "patch_embedding", "patch_embeddings", "to_patch_embedding", "conv_proj"}
)
_HEAD_NAMES = frozenset({"head", "heads", "head_dist", "pre_logits", "fc", "classifier", "mlp_head", "linear_head"})
_NORM_CLASSES = (
    nn.LayerNorm,
    nn.RMSNorm,
    nn.GroupNorm,
    nn.LocalResponseNorm,
    nn.modules.batchnorm._BatchNorm,  # noqa: SLF001  # the base class of all batch norms
    nn.modules.instancenorm._InstanceNorm,  # noqa: SLF001
)
_WITH_CONTENT = frozenset({"attention", "mlp", "patch_embed", "head"})
"""Parts that own the modules inside them, except norms and a module named ``mlp``."""


def part_of(path: str, module: nn.Module) -> Part | None:
    """The part that the module at this dotted path is; None if its class and name do not say."""
    class_name, name = type(module).__name__, path.rpartition(".")[2]
    if isinstance(module, _NORM_CLASSES) or (_NORM.search(class_name) and not _wraps_weights(module)):
        return "norm"
    if isinstance(module, nn.MultiheadAttention) or _ATTENTION.search(class_name):
        return "attention"
    if name in _PATCH_EMBED_NAMES or _PATCH_EMBED.search(class_name):
        return "patch_embed"
    if "." not in path and name in _HEAD_NAMES:
        return "head"
    if _MLP.search(class_name):
        return "mlp"
    if isinstance(module, nn.modules.conv._ConvNd):  # noqa: SLF001  # the base class of all convolutions
        return "convolution"
    return "activation" if type(module).__module__ == "torch.nn.modules.activation" else None


def _wraps_weights(module: nn.Module) -> bool:
    """Whether a child has parameters: ``PreNorm`` wraps a whole layer, a norm with an activation does not."""
    return any(True for child in module.children() for _ in child.parameters())


def owners_of(model: nn.Module) -> dict[str, Owner]:
    """Dotted path → part and block, for each module that is a part or a block; the innermost part counts."""
    blocks, parts = blocks_of(model), dict[str, Part]()
    owners = {}
    for path, module in model.named_modules():
        around = [path[:end] for end in range(len(path), 0, -1) if end == len(path) or path[end] == "."]
        outer = next((parts[p] for p in around if parts.get(p) in _WITH_CONTENT), None)
        part = part_of(path, module) if path else None
        if part and (not outer or part == "norm" or (part == "mlp" and path.endswith(".mlp"))):
            parts[path] = part
        if path in parts or path in blocks:
            owners[path] = Owner(parts.get(path), next((blocks[p] for p in around if p in blocks), None))
    return owners


def blocks_of(model: nn.Module) -> dict[str, str]:
    """Dotted path of each repeated module → the block, or the stage, that it is shown as.

    Blocks are the members of a list of modules of one class. If several lists differ in a number alone (``layer1`` to
    ``layer4``), each list is a stage. Empty for a model that repeats nothing.
    """
    if stage_names := getattr(model, "stage_names", ()):
        return {name: name for name in stage_names}
    lists = dict(_lists("", model))
    stages = len(lists) > 1 and len({re.sub(r"\d+", "#", path) for path in lists}) == 1
    return {
        f"{path}.{name}": path if stages else f"{path}.{name}"
        for path, module in lists.items()
        for name, _ in module.named_children()
    }


def _lists(path: str, module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The outermost lists of modules of one class that are outside all parts."""
    if path and part_of(path, module) is not None:
        return
    children = list(module.children())
    if isinstance(module, (nn.ModuleList, nn.Sequential)) and len({type(child) for child in children}) == 1:
        enough = len(children) > 1 or isinstance(module, nn.ModuleList)
        layers = any(True for _ in children[0].children()) and part_of(f"{path}.0", children[0]) is None
        if enough and layers:
            yield path, module
            return
    for name, child in module.named_children():
        yield from _lists(f"{path}.{name}" if path else name, child)
