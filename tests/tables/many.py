"""A results folder of very many records: a grid of variants × cost, memory and seeds, in the lines a run writes.

    python -m tests.tables.many DIR RECORDS      # writes the folder
    python -m tests.tables.many DIR              # reports it, and says what that took in CPU seconds and memory

Every line is as ``Record.line`` has it, fields and checksum, but is made from its fields' texts, which is faster. The
trials share one file of arrays: reading it costs what reading a trial's own would.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.made_records import ENVIRONMENT, MIB
from vitbench.declare.measure import MeasureConfig
from vitbench.declare.serialize import as_dict
from vitbench.declare.train import TrainConfig
from vitbench.declare.variant import format_axes
from vitbench.declare.vit import ViTConfig
from vitbench.records.codec import add_checksum, dumps
from vitbench.records.identity import SCHEMA, digest, plain
from vitbench.records.reader import file_digest
from vitbench.records.record import Environment

SEEDS = 6
EACH = 2 + SEEDS
"""Records of a variant: cost, memory, and every seed."""

AXES = {
    "depth": (4, 1, 2, 3, 5, 6, 8, 10, 12, 16),
    "embed_dim": (64, 16, 32, 48, 80, 96, 112, 128, 160, 192, 224, 256),
    "mlp_ratio": (4.0, 0.5, 1.0, 2.0, 3.0, 6.0, 8.0),
    "drop_rate": tuple(round(0.02 * i, 2) for i in range(16)),
}
"""Their product is a grid of 13,440 variants, the baseline first."""

TESTED = 360
DATA = {"name": "digits", "version": "1", "fraction": 1.0, "per_class": None, "same_steps": False, "scale": 1.0}
ABOUT_DATA = {
    "name": "digits", "version": "1", "img_size": 8, "in_chans": 1, "num_classes": 10,
    "classes": [str(i) for i in range(10)], "num_train": 1077, "num_val": 360, "num_test": TESTED, "chance": 0.1,
}  # fmt: skip
CODE = {
    "vitbench": "0.1.0", "commit": "9a58387fef30ad718faae34b12482d2a8e70c7f0", "dirty": False,
    "components": {"models": 1, "data": 1, "train": 1, "measure": 3},
}  # fmt: skip

REPORTED = """
import json, resource, sys, time
from vitbench.report import write
from vitbench.tables.compare import comparisons
from vitbench.tables.frames import table
from vitbench.tables.study import read_study
took = {}
def timed(name, function):
    start = time.process_time()
    value = function()
    took[name] = time.process_time() - start
    return value
folder = sys.argv[1]
if len(sys.argv) > 2:
    study = timed("load", lambda: read_study(folder))
    timed("tabulate", lambda: table(study, comparisons(study)))
else:
    timed("report", lambda: write(folder))
took["all"] = time.process_time()
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({**took, "peak": int(peak.split()[1]) * 1024}))
"""


def write(folder: Path, records: int) -> None:
    """Writes a folder of a plan and about so many records."""
    rng = np.random.default_rng(3)
    (folder / "artifacts").mkdir(parents=True, exist_ok=True)
    environment = Environment(ENVIRONMENT)
    described = dumps({"hash": environment.hash, "body": plain(environment.body)})
    (folder / "environments.jsonl").write_text(described + "\n")
    file = folder / "artifacts" / "shared.npz"
    epoch = np.arange(1, 21)
    np.savez_compressed(
        file, epoch=epoch, steps=34 * epoch, seconds=0.4 * epoch, train_loss=2 / epoch, val_loss=2 / epoch,
        val_accuracy=1 - 0.5 / epoch,
    )  # fmt: skip
    shared = {"ablation": "many", "environment": environment.hash, "code": CODE}
    digests = {file.name: file_digest(file)}
    variants = list(itertools.islice(_variants(), records // EACH))
    settings = {
        "data": DATA, "train": as_dict(TrainConfig(epochs=20)), "measure": as_dict(MeasureConfig()),
        "baseline": variants[0]["config"], "device": "cpu",
    }  # fmt: skip
    with (folder / "records.jsonl").open("w", encoding="utf-8") as lines:
        plan = _plan(variants, settings)
        lines.write(
            line(kind="plan", variant="", config=variants[0]["config"], settings=settings, values=plan, **shared)
        )
        for row in variants:
            for fields in _measured(row, settings, rng):
                lines.write(line(variant=row["name"], axes=row["axes"], config=row["config"], **fields, **shared))
            gain = 0.03 * np.log2(row["axes"]["depth"] * row["axes"]["embed_dim"] / 256)
            for fields in _trained(gain, settings, rng):
                lines.write(
                    line(variant=row["name"], axes=row["axes"], config=row["config"], artifacts=[file.name],
                         digests=digests, **fields, **shared)
                )  # fmt: skip


def line(**fields: Any) -> str:
    """A record's line, newline included."""
    body = {
        "schema": SCHEMA, "id": "", "ablation": "", "kind": "", "variant": "", "axes": {}, "config": None,
        "settings": {}, "seed": None, "status": "ok", "reason": None, "values": {}, "samples": {}, "environment": "",
        "code": {}, "started": "2026-01-02T03:04:05.678+00:00", "seconds": 1.25, "session": None, "artifacts": [],
        "digests": {}, "source": "",
        **fields,
    }  # fmt: skip
    body["id"] = digest([body["kind"], body["variant"], body["seed"]])
    return add_checksum(body) + "\n"


def _variants() -> Iterator[dict[str, Any]]:
    """Rows of a plan, as a run writes them."""
    train, data = as_dict(TrainConfig(epochs=20)), {"type": "DataConfig", **{k: DATA[k] for k in list(DATA)[2:]}}
    for number, values in enumerate(itertools.product(*AXES.values())):
        axes = dict(zip(AXES, values, strict=True))
        config = ViTConfig(img_size=8, patch_size=2, in_chans=1, num_classes=10, num_heads=4, **axes)
        name = format_axes(axes)
        yield {
            "name": name, "axes": axes, "family": "ViT", "is_baseline": number == 0, "is_reference": False,
            "reference": None, "curve": name, "config": as_dict(config), "train": train, "data": data, "images": 1077,
            "needs": {}, "reason": None,
        }  # fmt: skip


def _plan(variants: list[dict[str, Any]], settings: dict[str, Any]) -> dict[str, Any]:
    return {
        "question": "Which shape of a ViT?", "summary": "Which shape of a ViT?",
        "command": "python -m vitbench.ablate many",
        "design": "grid", "seeds": SEEDS, "baseline": variants[0]["name"],
        "axes": {axis: list(values) for axis, values in AXES.items()}, "variants": variants, "claims": [],
        "data": ABOUT_DATA, "margins": {"latency": 0.01, "accuracy": 0.01}, "device": settings["device"],
        "tuning": None,
    }  # fmt: skip


def _measured(row: dict[str, Any], settings: dict[str, Any], rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Cost and memory of a variant."""
    depth, dim, ratio = (row["axes"][axis] for axis in ("depth", "embed_dim", "mlp_ratio"))
    block = int(17 * dim * dim * (4 + 2 * ratio))
    macs = depth * block + 17 * dim
    modules = {f"blocks.{i}{part}": block for i in range(depth) for part in ("", ".attn", ".mlp", ".mlp.fc1")}
    methods = {way: {"macs": macs, "macs_backward": 2 * macs} for way in ("closed_form", "torch_meta", "fvcore")}
    yield {
        "kind": "cost",
        "values": {"params": macs // 17, "macs": macs, "flops": 2 * macs, "activations": macs // 60, "complete": True,
                   "methods": methods, "findings": [], "by_module": {"": macs, **modules}},
    }  # fmt: skip
    measure = {k: v for k, v in settings["measure"].items() if k in {"batch_size", "dtype", "threads", "resident"}}
    ledger = {"parameters": macs // 4, "gradients": 0, "optimizer": 0, "activations": macs // 2, "workspace": 0}
    peaks = {mode: {"bytes": MIB + times * macs, **ledger} for mode, times in (("inference", 1), ("training", 3))}
    yield {
        "kind": "memory",
        "settings": {"device": "cpu", **measure},
        "values": {"batch_size": 8, **peaks, "closed_form": {mode: peaks[mode]["bytes"] for mode in peaks}},
    }


def _trained(gain: float, settings: dict[str, Any], rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Every seed of a variant."""
    about = {"device": "cpu", "threads": 1, "data": DATA, "train": settings["train"], "recipe": "same"}
    for seed, chance in enumerate(np.clip(rng.normal(0.85 + gain, 0.01, SEEDS), 0.1, 0.99)):
        right = (rng.random(TESTED) < chance).astype(int).tolist()
        accuracy = sum(right) / TESTED
        yield {
            "kind": "accuracy", "seed": seed, "settings": about,
            "values": {"accuracy": accuracy, "val_accuracy": float(chance), "train_loss": 0.5, "num_test": TESTED,
                       "correct": sum(right), "train_seconds": 8.2, "total_seconds": 9.0, "epochs": 20, "steps": 660,
                       "wait_share": 0.004},
            "samples": {"correct": {"unit": "0/1 per test image", "values": right}},
        }  # fmt: skip


def reported(folder: Path, *, tables_only: bool = False) -> dict[str, float]:
    """CPU seconds by stage, and the peak of resident memory in bytes, of a process that reports the folder."""
    command = [sys.executable, "-c", REPORTED, str(folder), *["tables"] * tables_only]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    found: dict[str, float] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    if len(sys.argv) > 2:
        write(Path(sys.argv[1]), int(sys.argv[2]))
    else:
        for only in (True, False):
            sys.stdout.write(f"{json.dumps(reported(Path(sys.argv[1]), tables_only=only))}\n")
