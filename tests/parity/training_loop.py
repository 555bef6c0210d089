"""Images per second of our training ÷ those of a plain timm and DataLoader loop: ``nox -s peers``; nothing is asserted.

Same model, same images, same augmentation (four pixels of padding, a random crop, a mirror image), same loss and
optimiser; ours feeds from memory many batches at once, the plain loop takes Pillow images one by one through
torchvision's transforms, in this process or in one worker beside it, which is a core more than ours has. What costs it
nothing to ask for it is given: the fused optimiser, workers that stay alive, a loss that is read once an epoch.

A block builds every loop anew, in random order, and times whole epochs, mirrored: ours, plain, plain again, and back.
The second plain loop is the control, whose ratio to the first should be 1. On a CUDA device, where there is one, both
run in bfloat16 autocast, and the plain loop has pinned memory and a worker a core.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader

from tests.parity.peers import import_torchvision
from tests.parity.speed import timm_vit
from vitbench import TrainConfig, ViTConfig, build
from vitbench.data.dataset import Dataset, make_dataset, make_split
from vitbench.stats import control_holds, log_ratio_blocks, mean_interval, ratio_interval
from vitbench.train.batch_loader import BatchLoader
from vitbench.train.lr_schedule import learning_rate
from vitbench.train.step import Step

OURS, PLAIN, AGAIN = "vitbench", "plain", "plain again"
SHIFT_PX = 4
MINIMUM_BLOCKS = 6
WARM_STEPS = 2


@dataclass(frozen=True)
class Row:
    """One model, one device; an epoch of ``images`` is what is timed."""

    name: str
    config: ViTConfig
    recipe: TrainConfig
    images: int
    workers: tuple[int, ...] = (0, 1)
    device: str = "cpu"


def small(embed_dim: int, depth: int) -> ViTConfig:
    return ViTConfig(img_size=32, patch_size=4, embed_dim=embed_dim, depth=depth, num_heads=embed_dim // 32,
                     num_classes=10)  # fmt: skip


def recipe(batch_size: int) -> TrainConfig:
    """Nothing that a plain loop has not."""
    return TrainConfig(batch_size=batch_size, lr=1e-3, shift_px=SHIFT_PX, label_smoothing=0, clip_grad_norm=0)


EVERY_CORE = max(1, len(os.sched_getaffinity(0)) - 1)
ROWS = (
    Row("ViT d64 L4", small(64, 4), recipe(64), 1280),
    Row("ViT d192 L9", small(192, 9), recipe(32), 128),
    Row("ViT d192 L9", small(192, 9), recipe(256), 25_600, (EVERY_CORE,), "cuda"),
)


def made(images: int, *, size: int = 32, classes: int = 10) -> Dataset:
    """Random images in memory; of the other splits as good as nothing."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(256, size=(images, 3, size, size), dtype=np.uint8)
    labels = rng.permutation(images) % classes
    train, rest = make_split(pixels, labels), make_split(pixels[:classes], np.arange(classes))
    return make_dataset(name="made", version="1", classes=tuple(map(str, range(classes))), train=train, val=rest,
                        test=rest, shift=True, flip=True)  # fmt: skip


class Ours:
    """The loop of ``vitbench.train``, an epoch at a time."""

    def __init__(self, row: Row, data: Dataset, seed: int) -> None:
        torch.manual_seed(seed)
        self.row, self.done = row, 0
        self.model = build(row.config).to(row.device).train()
        self.feed = BatchLoader(data, row.recipe, seed=seed, device=row.device)
        self.step = Step(self.model, row.recipe, row.device)

    def epoch(self, steps: int | None = None) -> list[float]:
        """The losses of an epoch, or of its first steps."""
        losses: list[Tensor] = []
        for images, labels in self.feed.epoch():
            losses.append(self.step(images, labels, learning_rate(self.done, 10**6, self.row.recipe)))
            self.done += 1
            if len(losses) == steps:
                break
        return torch.stack(losses).tolist()


class Pictures(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """As torchvision's CIFAR10: an array, from which each image is made when it is asked for."""

    def __init__(self, data: Dataset) -> None:
        transforms = import_torchvision().transforms
        self.pixels = data.train.images.permute(0, 2, 3, 1).contiguous().numpy()
        self.labels = data.train.labels.tolist()
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(data.spec.img_size, padding=SHIFT_PX),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize((data.mean / 255).tolist(), (data.std / 255).tolist()),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[row])), self.labels[row]


class Plain:
    """timm's model, torch's DataLoader, and the loop of a tutorial."""

    def __init__(self, row: Row, data: Dataset, seed: int, workers: int) -> None:
        torch.manual_seed(seed)
        self.device, cuda = row.device, row.device == "cuda"
        self.model = timm_vit(row.config).to(row.device).train()
        self.loader = DataLoader(Pictures(data), row.recipe.batch_size, shuffle=True, drop_last=True, pin_memory=cuda,
                                 num_workers=workers, persistent_workers=workers > 0)  # fmt: skip
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=row.recipe.lr, betas=row.recipe.betas,
                                           weight_decay=row.recipe.weight_decay, fused=True)  # fmt: skip

    def epoch(self, steps: int | None = None) -> list[float]:
        losses: list[Tensor] = []
        for images, labels in self.loader:
            losses.append(self.step(images, labels))
            if len(losses) == steps:
                break
        return torch.stack(losses).tolist()

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        images, labels = (x.to(self.device, non_blocking=True) for x in (images, labels))
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=self.device == "cuda"):
            loss = functional.cross_entropy(self.model(images), labels)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.detach()


def blocks(
    row: Row, data: Dataset, workers: int, *, budget_s: float, seed: int
) -> Iterator[dict[str, list[tuple[float, float]]]]:
    """Of every loop's two epochs the seconds, wall and CPU, a block at a time, until the budget is over."""
    make: dict[str, Callable[[int], Ours | Plain]] = {
        OURS: lambda number: Ours(row, data, number),
        PLAIN: lambda number: Plain(row, data, number, workers),
        AGAIN: lambda number: Plain(row, data, number, workers),
    }
    rng = np.random.default_rng(seed)
    start, number = time.perf_counter(), 0
    while number < MINIMUM_BLOCKS or time.perf_counter() - start < budget_s:
        loops = {name: make[name](number) for name in rng.permutation(list(make)).tolist()}
        for loop in loops.values():
            loop.epoch(WARM_STEPS)
        order = rng.permutation(list(make)).tolist()
        seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in make}
        for name in (*order, *reversed(order)):
            wall, cpu = time.perf_counter(), time.process_time()
            losses = loops[name].epoch()
            seconds[name].append((time.perf_counter() - wall, time.process_time() - cpu))
            if not all(map(math.isfinite, losses)):
                raise RuntimeError(f"{name}: the loss is no longer a number")
        del loops, loop  # ends the workers
        yield seconds
        number += 1


def compared(row: Row, data: Dataset, workers: int, *, budget_s: float, seed: int) -> str:
    """Ours ÷ plain in images per second, with its 95 % interval, and what the control says."""
    seen = list(blocks(row, data, workers, budget_s=budget_s, seed=seed))
    times, cpu = ({name: np.array([block[name] for block in seen])[..., kind] for name in seen[0]} for kind in (0, 1))
    logs = log_ratio_blocks(times[PLAIN], times[OURS])
    control = log_ratio_blocks(times[PLAIN], times[AGAIN])
    ratio, floor = ratio_interval(logs), ratio_interval(control)
    spent = ratio_interval(log_ratio_blocks(cpu[PLAIN], cpu[OURS]))
    steps = row.images // row.recipe.batch_size
    rates = {name: mean_interval(steps * row.recipe.batch_size / np.median(t, axis=1)) for name, t in times.items()}
    held = "held" if control_holds(control) else "FAILED: the ratio does not count"
    return (
        f"{ratio.value:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]  ({ratio.n} blocks of 2 × {steps} steps; ours about "
        f"{rates[OURS].value:.0f} images/s, plain {rates[PLAIN].value:.0f}; control {floor.value:.3f} "
        f"[{floor.low:.3f}, {floor.high:.3f}] {held}; per second of CPU, workers left out, {spent.value:.3f} "
        f"[{spent.low:.3f}, {spent.high:.3f}])"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.parity.training_loop", description=__doc__)
    parser.add_argument("--budget", type=float, default=60.0, help="seconds for each line (default 60)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and orders (default 0)")
    parser.add_argument("--only", default="", help="lines whose names hold all these words, by commas: d64,0 workers")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    import_torchvision()  # before timm tries to
    print("Training at 32 px, images per second: ours ÷ a plain loop; above 1 is faster than it. 95 % intervals.")
    for row in ROWS:
        title = f"{row.name}, patch 4, batch {row.recipe.batch_size}, {row.device}, training loop"
        if row.device == "cuda" and not torch.cuda.is_available():
            print(f"{title}: not measured, there is no such device")
            continue
        data = made(row.images)
        for workers in row.workers:
            name = f"{title}, {workers} workers"
            if all(word in name for word in arguments.only.split(",")):
                print(f"{name}: {compared(row, data, workers, budget_s=arguments.budget, seed=arguments.seed)}",
                      flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
