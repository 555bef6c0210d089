"""Ours ÷ the fastest peer, timed side by side: ``nox -s peers``. Ratios are for looking at; nothing is asserted.

A first session of vitbench's own estimator finds the fastest peer of all, a second, of ours and that one alone, says by
how much they differ: every model more in a session makes its blocks longer and its interval wider. On the CPU all run
on one thread in float32; on a CUDA device, where there is one, in bfloat16. Compiled, ours runs beside one peer. Memory
is that of a training step, modelled, and compared with the leanest peer's. vit-pytorch's ViT is given the bias for
queries, keys and values that the others have: the same model. nox tells the allocator to keep what is freed: handing
large tensors back and faulting them in again was most of what differed between blocks (CHANGELOG).
"""

from __future__ import annotations

import argparse
import functools
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor, nn

from tests.parity.peers import import_torchvision
from vitbench import build, zoo
from vitbench.declare.model import ModelConfig
from vitbench.declare.sizes import as_pair
from vitbench.declare.vit import ViTConfig
from vitbench.measure import compare, memory
from vitbench.measure.timing.subject import Mode
from vitbench.stats.estimates import ratio_interval

OURS = "vitbench"


@dataclass(frozen=True)
class Row:
    """One model on one device. Compiled it stands beside the peers of ``compiled_against``."""

    name: str
    config: ModelConfig
    batch_size: int
    device: str = "cpu"
    dtype: torch.dtype = torch.float32
    compiled_against: tuple[str, ...] = ("timm",)


ROWS = (
    Row("ViT-Ti/16, 224 px", zoo("vit_tiny_patch16_224"), 2),
    Row("ViT-B/32, 224 px", zoo("vit_base_patch32_224"), 4),
    Row(
        "ViT d192 L9, 32 px patch 4",
        ViTConfig(img_size=32, patch_size=4, embed_dim=192, depth=9, num_heads=3, num_classes=10),
        32,
    ),
    Row("ResNet-50, 224 px", zoo("resnet50"), 2, compiled_against=("torchvision",)),
    Row("ViT-B/16, 224 px", zoo("vit_base_patch16_224"), 64, "cuda", torch.bfloat16),
)


class Logits(nn.Module):
    """A Hugging Face model that puts out a tensor."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x).logits


def timm_vit(config: ViTConfig) -> nn.Module:
    import timm

    return timm.models.VisionTransformer(
        img_size=config.img_size,
        patch_size=config.patch_size,
        embed_dim=config.embed_dim,
        depth=config.depth,
        num_heads=config.num_heads,
        num_classes=config.num_classes,
    )


def torchvision_vit(config: ViTConfig) -> nn.Module:
    return import_torchvision().models.VisionTransformer(
        image_size=config.img_size,
        patch_size=config.patch_size,
        num_layers=config.depth,
        num_heads=config.num_heads,
        hidden_dim=config.embed_dim,
        mlp_dim=config.mlp_dim,
        num_classes=config.num_classes,
    )


def hugging_face_vit(config: ViTConfig) -> nn.Module:
    import transformers

    return Logits(
        transformers.ViTForImageClassification(
            transformers.ViTConfig(
                image_size=config.img_size,
                patch_size=config.patch_size,
                hidden_size=config.embed_dim,
                num_hidden_layers=config.depth,
                num_attention_heads=config.num_heads,
                intermediate_size=config.mlp_dim,
                num_labels=config.num_classes,
            )
        )
    )


def vit_pytorch_vit(config: ViTConfig) -> nn.Module:
    import vit_pytorch

    model = vit_pytorch.ViT(
        image_size=config.img_size,
        patch_size=config.patch_size,
        num_classes=config.num_classes,
        dim=config.embed_dim,
        depth=config.depth,
        heads=config.num_heads,
        dim_head=config.head_dim,
        mlp_dim=config.mlp_dim,
    )
    for attention, _ in model.transformer.layers:
        attention.to_qkv = nn.Linear(config.embed_dim, 3 * config.embed_dim)
    return model


VITS: Mapping[str, Callable[[ViTConfig], nn.Module]] = types.MappingProxyType(
    {
        "timm": timm_vit,
        "torchvision": torchvision_vit,
        "Hugging Face": hugging_face_vit,
        "vit-pytorch": vit_pytorch_vit,
    }
)


def models_of(config: ModelConfig) -> dict[str, nn.Module]:
    """Ours and every peer's, all random."""
    torch.manual_seed(0)
    ours = {OURS: build(config)}
    if isinstance(config, ViTConfig):
        return ours | {name: make(config) for name, make in VITS.items()}
    import timm

    return ours | {
        "torchvision": import_torchvision().models.resnet50(weights=None),
        "timm": timm.create_model("resnet50"),
    }


def ours_over_peers(
    models: Mapping[str, nn.Module], x: Tensor, mode: Mode, *, compiled: bool, budget_s: float, seed: int
) -> str:
    """The ratio to the fastest peer with its 95 % interval; where there are several, in which order they came."""
    words = ""
    if len(models) > 2:
        ranking = compare(models, x, baseline=OURS, mode=mode, compile=compiled, budget_s=budget_s / 2, seed=seed)
        rough = {name: ratio_interval(-ranking.session.log_ratios(name)).value for name in models if name != OURS}
        names = sorted(rough, key=lambda name: -rough[name])
        words = "; in the first session " + ", ".join(f"{name} {rough[name]:.2f}" for name in names)
        models = {name: models[name] for name in (OURS, names[0])}
    result = compare(models, x, baseline=OURS, mode=mode, compile=compiled, budget_s=budget_s, seed=seed + 1)
    ((_, peer), session) = models, result.session
    ratio = ratio_interval(-session.log_ratios(peer))
    control = "held" if result.valid else "FAILED: the ratio does not count"
    return (
        f"{peer} {ratio.value:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]  (noise grade {result.grade}, "
        f"{len(session.blocks)} blocks, noise floor ±{100 * session.noise_floor:.1f}%, A/A control {control}{words})"
    )


def memory_ratios(models: Mapping[str, nn.Module], x: Tensor) -> str:
    """The ratio of peak bytes in a training step to every peer's, the leanest first."""
    peaks = {name: memory(model, len(x), training=True, example=x).bytes for name, model in models.items()}
    leanest_first = sorted((peak, name) for name, peak in peaks.items() if name != OURS)
    words = ", ".join(f"{name} {peaks[OURS] / peak:.4f}" for peak, name in leanest_first)
    return f"{words}  (ours {peaks[OURS] / 2**20:.1f} MiB)"


def main() -> None:
    parser = argparse.ArgumentParser(prog="nox -s peers --", description=__doc__)
    parser.add_argument("--budget", type=float, default=60.0, help="seconds for each session (default 60)")
    parser.add_argument("--seed", type=int, default=0, help="of placements, orders and labels (default 0)")
    parser.add_argument("--only", default="", help="lines whose names hold all these words, by commas: d192,compiled")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    import_torchvision()  # before timm and transformers try to
    print("Ours ÷ the fastest peer; under 1 is faster than it. 95 % intervals.")
    for row in ROWS:
        if row.device == "cuda" and not torch.cuda.is_available():
            print(f"\n{row.name} on {row.device}: not measured, there is no such device")
            continue
        title = f"{row.name}, batch {row.batch_size}, {row.device}, {str(row.dtype).removeprefix('torch.')}"
        models = {name: model.to(row.device, row.dtype) for name, model in models_of(row.config).items()}
        x = torch.randn(row.batch_size, row.config.in_chans, *as_pair(row.config.img_size)).to(row.device, row.dtype)
        lines: dict[str, Callable[[], str]] = {
            f"{title}, {'compiled' if compiled else 'eager'}, {mode}": functools.partial(
                ours_over_peers,
                {n: m for n, m in models.items() if not compiled or n in (OURS, *row.compiled_against)},
                x,
                mode,
                compiled=compiled,
                budget_s=arguments.budget,
                seed=arguments.seed,
            )
            for compiled in (False, True)
            for mode in get_args(Mode)
        }
        lines[f"{title}, memory"] = functools.partial(memory_ratios, models, x)
        for name, line in lines.items():
            if all(word in name for word in arguments.only.split(",")):
                print(f"{name}: {line()}", flush=True)


if __name__ == "__main__":
    main()
