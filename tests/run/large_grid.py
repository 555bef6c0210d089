"""A grid of very many cells: what it takes to plan it, as ``python -m vitbench.ablate FILE --dry-run`` does.

    python -m tests.run.large_grid            # 100,000 cells
    python -m tests.run.large_grid CELLS      # so many, a multiple of 1,000

Prints seconds of wall-clock time, everything included, and the largest memory of the process that plans. Its workers
are apart: they import torch and describe the data.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from vitbench.declare.ablation import Ablation
from vitbench.declare.vit import ViTConfig
from vitbench.run.planning.plan import Plan, make_plan
from vitbench.run.planning.trials import Preflight
from vitbench.run.progress.estimate import Estimate

FILE = '''"""A grid of {cells:,} cells.

    python -m vitbench.ablate large_grid
"""
from tests.run.large_grid import ablation

ABLATION = ablation({cells})
'''

DRY_RUN = """
import json, sys
from vitbench.ablate import main
status = main([sys.argv[1], "--dry-run", "--results", sys.argv[2]])
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({"status": status, "peak": int(peak.split()[1]) * 1024}))
"""

HEADS = (4, 1, 2, 3, 5, 6, 8, 10, 7, 9)
"""Of these the last two divide few of the widths: a part of the cells is impossible."""


def ablation(cells: int) -> Ablation:
    """A grid of so many cells, a multiple of 1,000, over settings of the model: hardly any two rows share a cost."""
    widths = tuple(120 * i for i in range(1, 11))
    axes: dict[str, tuple[Any, ...]] = {
        "num_heads": HEADS,
        "depth": tuple(range(1, 11)),
        "embed_dim": widths,
        "mlp_ratio": tuple(0.04 * i for i in range(1, 1 + cells // 1000)),
    }
    baseline = ViTConfig(img_size=8, patch_size=2, in_chans=1, num_classes=10, embed_dim=120, depth=4, num_heads=4)
    return Ablation(question="What is best?", baseline=baseline, axes=axes, design="grid")


def planned(grid: Ablation) -> tuple[Plan, float]:
    """The plan, and its estimate of the seconds, without a worker."""
    data = {"name": "digits", "version": "1", "img_size": 8, "in_chans": 1, "num_classes": 10, "num_train": 1077}
    plan = make_plan(grid, Preflight(device="cpu", data=data, torch={}), name="large", seeds=6)
    estimate = Estimate(1077, jobs=2)
    return plan, estimate.remaining(estimate.guesses(plan.trials))


def dry_run(folder: Path, cells: int) -> dict[str, Any]:
    """The command's ``output``, wall-clock ``seconds`` and ``peak`` memory in bytes."""
    file = folder / "large_grid.py"
    file.write_text(FILE.format(cells=cells), encoding="utf-8")
    start = time.monotonic()
    said = subprocess.run(
        [sys.executable, "-c", DRY_RUN, str(file), str(folder / "results")], capture_output=True, text=True, check=True
    ).stdout
    *lines, last = said.splitlines()
    return {**json.loads(last), "seconds": time.monotonic() - start, "output": "\n".join(lines)}


def main() -> None:
    cells = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        told = dry_run(Path(folder), cells)
    seconds, peak = told["seconds"], told["peak"] / 2**20
    sys.stdout.write(f"{told['output']}\n{cells:,} cells: {seconds:.1f} s, {peak:.0f} MiB\n")


if __name__ == "__main__":
    main()
