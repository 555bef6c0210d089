"""Which part of a model a module is, and which modules are its blocks: what a trace is divided by.

A module's class says what it is (``WindowAttention``, ``MLPBlock``, ``nn.LayerNorm``), or, for patch embedding and
head, the name it has in the model. What neither says is no part: it stays "other" and is not guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from torch import nn

from vitbench.measure.tracing.attribution import Part
from vitbench.models.resnet import ResNet

_ATTENTION = re.compile(r"(Attention|Attn)(Pool\w*|Rope\w*|V\d|\d[dD])?$")
_MLP = re.compile(r"((Mlp|MLP)(Block|Layer)?|FeedForward|FFN|SwiGLU\w*)$")
_NORM = re.compile(r"Norm(\d[dD])?(Act)?(\d[dD])?$")
_PATCHES = re.compile(r"^\w*Patch(ify|Embed\w*)$")
_PATCH_NAMES = frozenset({"patch_embed", "patch_embedding", "patch_embeddings", "to_patch_embedding", "conv_proj"})
_HEAD_NAMES = frozenset({"head", "heads", "head_dist", "pre_logits", "fc", "classifier", "mlp_head", "linear_head"})
_NORMS = (
    nn.LayerNorm,
    nn.RMSNorm,
    nn.GroupNorm,
    nn.LocalResponseNorm,
    nn.modules.batchnorm._BatchNorm,  # noqa: SLF001  # the class of all batch norms
    nn.modules.instancenorm._InstanceNorm,  # noqa: SLF001
)
_WHOLE = frozenset({"attention", "mlp", "patch_embed", "head"})
"""Parts to which all belongs that lies inside, except norms and an MLP by that name."""


def part_of(path: str, module: nn.Module) -> Part | None:
    """What the module at this dotted path is; None: its class and name do not say."""
    word, name, at_top = type(module).__name__, path.rpartition(".")[2], "." not in path
    if isinstance(module, _NORMS) or (_NORM.search(word) and not any(True for m in module.children() if _holds(m))):
        return "norm"
    if isinstance(module, nn.MultiheadAttention) or _ATTENTION.search(word):
        return "attention"
    if name in _PATCH_NAMES or _PATCHES.search(word):
        return "patch_embed"
    if at_top and name in _HEAD_NAMES:
        return "head"
    if _MLP.search(word):
        return "mlp"
    if isinstance(module, nn.modules.conv._ConvNd):  # noqa: SLF001  # the class of all convolutions
        return "convolution"
    return "activation" if type(module).__module__ == "torch.nn.modules.activation" else None


def _holds(module: nn.Module) -> bool:
    """Whether it has weights: a norm wraps none, ``PreNorm`` wraps a whole layer."""
    return any(True for _ in module.parameters())


def parts_of(model: nn.Module) -> dict[str, Part]:
    """Dotted path → part, of all modules that are told apart; the innermost of them counts."""
    return dict(_parts("", model, None))


def _parts(path: str, module: nn.Module, whole: Part | None) -> Iterator[tuple[str, Part]]:
    part = part_of(path, module) if path else None
    if whole and part != "norm" and not (part == "mlp" and path.endswith(".mlp")):
        part = None
    if part is not None:
        yield path, part
    for name, child in module.named_children():
        yield from _parts(f"{path}.{name}" if path else name, child, part if part in _WHOLE else whole)


def blocks_of(model: nn.Module) -> dict[str, str]:
    """Dotted path of each repeated module → the block, or the stage, that it is shown as.

    Blocks are the children of a list of one class of modules with modules of their own. Where several lists differ in
    a number alone (``layer1`` to ``layer4``), each is a stage. Empty where a model repeats nothing.
    """
    if isinstance(model, ResNet):
        return {name: name for name in model.stage_names}
    lists = dict(_lists("", model))
    stages = len(lists) > 1 and len({re.sub(r"\d+", "#", path) for path in lists}) == 1
    return {
        f"{path}.{name}": path if stages else f"{path}.{name}"
        for path, module in lists.items()
        for name, _ in module.named_children()
    }


def _lists(path: str, module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The outermost lists of alike modules, outside of all parts."""
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
