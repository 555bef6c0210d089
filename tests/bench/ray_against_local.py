"""What Ray costs on one machine: the same accuracy trials through it and through the local executor, start-up apart.

    python -m tests.bench.ray_against_local                # on a quiet machine: five pairs, about five minutes
    python -m tests.bench.ray_against_local --pairs 2 --seeds 1 --epochs 1

Both executors are started and have run once before anything is timed. Then each pair runs both, in an order that is
drawn anew, into a new folder each; a pair's ratio is the one's wall-clock time over the other's. Ray's own processes
idle beside the local runs too. The median is to be at most 1.15.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from vitbench.declare.ablation import Ablation
from vitbench.declare.train import TrainConfig
from vitbench.declare.vit import ViTConfig
from vitbench.run import execute
from vitbench.run.executors import open_executor
from vitbench.run.executors.protocol import Executor

TARGET = 1.15


def ablation(seeds: int, epochs: int) -> Ablation:
    """Two small models, whose trainings are as many as there are seeds twice."""
    return Ablation(
        question="What does Ray cost?",
        baseline=ViTConfig(
            img_size=8, patch_size=2, in_chans=1, num_classes=10, embed_dim=32, depth=2, num_heads=2, init="moco"
        ),
        axes={"pool": ("cls", "mean")},
        train=TrainConfig(epochs=epochs),
        seeds=seeds,
    )


def seconds(declared: Ablation, executor: Executor) -> float:
    """Wall-clock seconds of a whole run."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        outcome = execute(
            declared, name="bench", directory=Path(folder) / "r", executor=executor, kinds=("accuracy",), device="cpu"
        )
        took = time.perf_counter() - start
    if outcome.failed or outcome.left:
        raise SystemExit(f"{outcome.failed} trials failed")
    return took


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    declared, order = ablation(options.seeds, options.epochs), random.Random(0)
    with (
        open_executor("local", threads=1, import_path=None) as local,
        open_executor("ray", threads=1, import_path=None) as ray,
    ):
        executors = {"local": local, "ray": ray}
        for executor in executors.values():
            seconds(ablation(seeds=max(2, executor.cores), epochs=1), executor)
        ratios = []
        for pair in range(options.pairs):
            names = order.sample(sorted(executors), 2)
            took = {name: seconds(declared, executors[name]) for name in names}
            ratios.append(took["ray"] / took["local"])
            said = ", ".join(f"{name} {took[name]:.2f} s" for name in names)
            print(f"pair {pair + 1}: {said}, ratio {ratios[-1]:.3f}", flush=True)
    median = statistics.median(ratios)
    print(f"median ratio Ray / local {median:.3f} of {len(ratios)} pairs on {local.cores} cores; target {TARGET}")
    return 0 if median <= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
