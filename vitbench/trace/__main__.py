"""``python -m vitbench.trace MODEL``: where a step's time and memory go, for TensorBoard and as a summary."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from vitbench.declare.measure import Dtype, MeasureConfig
from vitbench.declare.zoo import names
from vitbench.utils import cli, threads
from vitbench.utils.errors import UserError, choices

if TYPE_CHECKING:
    from vitbench.trace.summary import Summary

PROG = "python -m vitbench.trace"
ROOT = Path("results") / "trace"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Profile a few steps of a model: shares of time by part, operation and block, memory, and a TensorBoard trace.

    The profiler slows what it records, small operations most: read shares here, and times in vitbench.measure.
    """

    model: Annotated[str | None, tyro.conf.Positional, cli.option("MODEL", "none")] = None
    """Name a zoo model (vit_base_patch16_224, resnet50), timm:NAME, torchvision:NAME, or package.module:function."""
    mode: Literal["forward", "train_step"] = "forward"
    """Profile a forward pass, or a training step (forward, cross-entropy, backward, AdamW)."""
    img_size: Annotated[int | None, cli.option("PX", "the model's own")] = None
    """Set the side of the images."""
    batch_size: int = 8
    """Set the number of images per step."""
    threads: int = 1
    """Set the number of torch threads on the CPU."""
    dtype: Dtype = "float32"
    """Set the type of weights and images."""
    device: str = "auto"
    """Run on this device: auto, cpu or cuda."""
    steps: int = 5
    """Record this many steps, after four that are not recorded."""
    out: Annotated[Path | None, cli.option("DIR", "results/trace/MODEL, or MODEL-train_step in that mode")] = None
    """Write the trace, summary.json and the figures to this folder, in place of an earlier trace."""
    format: Literal["table", "json", "csv", "markdown"] = "table"
    """Print tables, summary.json, or csv with one line per part, phase, operation and block."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 traced, 2 a request that cannot be met, 130 interrupted."""
    return cli.run(lambda: trace(cli.parse(Options, argv, prog=PROG)))


def trace(options: Options) -> int:
    """Exit status, after recording, writing the folder and printing the summary.

    Raises:
        UserError: the request cannot be met.
    """
    if options.model is None:
        raise UserError(f"which model? {choices(names())} exist, and timm:NAME: type {PROG} {names()[0]}")
    if options.steps < 1:
        raise UserError(f"--steps {options.steps} is too small: it takes 1 or more")
    settings = MeasureConfig(batch_size=options.batch_size, threads=options.threads, dtype=options.dtype)
    folder = folder_of(options)
    threads.set_environment(options.threads)
    cli.import_from_here()

    from vitbench.devices import resolve_device
    from vitbench.models.by_name import config_of
    from vitbench.trace import display
    from vitbench.trace.record import record
    from vitbench.trace.summary import summarize

    device = resolve_device(options.device)
    config = config_of(options.model, options.img_size)
    try:
        recording = record(
            options.model, config, settings,
            folder=folder, mode=options.mode, steps=options.steps, device=device, progress=cli.progress,
        )  # fmt: skip
        summary = summarize(recording)
        cli.progress("drawing")
        write(summary, folder)
    except KeyboardInterrupt:
        print("vitbench: interrupted; no trace is kept, run the same command again", file=sys.stderr)
        return cli.INTERRUPTED
    finally:
        cli.progress("")
    display.write(summary, options.format)
    print("\n".join(_next_steps(folder)), file=sys.stdout if options.format == "table" else sys.stderr)
    return 0


def folder_of(options: Options) -> Path:
    """The folder of a trace: one per model and mode, whose name TensorBoard shows as the name of the run."""
    if options.out is not None:
        return options.out
    name = re.sub(r"[^\w.-]+", "-", str(options.model))
    return ROOT / (name if options.mode == "forward" else f"{name}-{options.mode}")


def write(summary: Summary, folder: Path) -> None:
    """Writes ``summary.json`` and the figures that have data, in place of earlier ones."""
    from vitbench.trace.figures import draw

    text = json.dumps(asdict(summary), indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "summary.json").write_text(text + "\n", encoding="utf-8")
    draw(summary.blocks, summary.memory, folder)


def _next_steps(folder: Path) -> list[str]:
    lines = [f"written: {folder}/ (trace, summary.json, figures)"]
    if not find_spec("torch_tb_profiler") or not find_spec("tensorboard"):
        lines.append("TensorBoard and its profiler plugin are not installed: type pip install 'vitbench[trace]'")
    return [*lines, f"open it: tensorboard --logdir {folder}, then the page PYTORCH_PROFILER"]


if __name__ == "__main__":
    sys.exit(main())
