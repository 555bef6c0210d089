"""``python -m vitbench.trace MODEL``: where a step's time and memory go, for TensorBoard and as a summary."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from vitbench.declare.measure import Dtype, MeasureConfig
from vitbench.declare.zoo import names
from vitbench.utils import cli, threads
from vitbench.utils.errors import UserError, choices

if TYPE_CHECKING:
    from vitbench.measure.tracing.summary import Summary

PROG = "python -m vitbench.trace"
ROOT = Path("results") / "trace"


@dataclass(frozen=True, kw_only=True)
class Options:
    """A trace of a model's steps that opens in TensorBoard, and what it says: parts, operations, blocks, memory.

    The profiler slows what it records, small operations most: read shares here, and times from vitbench.measure.
    """

    model: Annotated[str | None, tyro.conf.Positional, cli.option("MODEL", "none")] = None
    """A zoo name (vit_base_patch16_224, resnet50), timm:NAME, torchvision:NAME, or package.module:function."""
    mode: Literal["forward", "train_step"] = "forward"
    """train_step: forward, cross-entropy, backward and AdamW."""
    img_size: Annotated[int | None, cli.option("PX", "the model's own")] = None
    """Side of the images."""
    batch_size: int = 8
    """Images in a step."""
    threads: int = 1
    """Of torch, on the CPU."""
    dtype: Dtype = "float32"
    """Of weights and images."""
    device: str = "auto"
    """auto, cpu or cuda."""
    steps: int = 5
    """Steps that are recorded, after four that are not."""
    out: Annotated[Path | None, cli.option("DIR", "results/trace/MODEL, with -train_step behind it for that")] = None
    """Folder of the trace, summary.json and the figures; a trace from before is replaced."""
    format: Literal["table", "json", "csv", "markdown"] = "table"
    """json is summary.json; csv has a line a part, phase, operation and block."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 traced, 2 a request that cannot be met, 130 interrupted."""
    return cli.run(lambda: trace(cli.parse(Options, argv, prog=PROG)))


def trace(options: Options) -> int:
    """Records, writes and prints.

    Raises:
        UserError: the request cannot be met.
    """
    if options.model is None:
        raise UserError(f"which model? {choices(names())} exist, and timm:NAME: type {PROG} {names()[0]}")
    if options.steps < 1:
        raise UserError(f"--steps {options.steps} is too small: it takes 1 or more")
    settings = MeasureConfig(batch_size=options.batch_size, threads=options.threads, dtype=options.dtype)
    folder = folder_of(options)
    threads.ask_for(options.threads)
    cli.import_from_here()

    from vitbench.devices import resolve_device
    from vitbench.measure.profile import profile
    from vitbench.measure.side_by_side import config_of

    device = resolve_device(options.device)
    config = config_of(options.model, options.img_size)
    try:
        summary = profile(
            options.model, config, settings,
            folder=folder, mode=options.mode, steps=options.steps, device=device, progress=cli.progress,
        )  # fmt: skip
        cli.progress("drawing")
        _write(summary, folder)
    except KeyboardInterrupt:
        print("vitbench: interrupted; a trace keeps nothing, the same command begins again", file=sys.stderr)
        return cli.INTERRUPTED
    finally:
        cli.progress("")
    _print(summary, options.format)
    print("\n".join(_opened(folder)), file=sys.stdout if options.format == "table" else sys.stderr)
    return 0


def folder_of(options: Options) -> Path:
    """Where the trace goes: a folder a model and mode, whose name TensorBoard shows as the run's."""
    if options.out is not None:
        return options.out
    name = re.sub(r"[^\w.-]+", "-", str(options.model))
    return ROOT / (name if options.mode == "forward" else f"{name}-{options.mode}")


def _write(summary: Summary, folder: Path) -> None:
    """``summary.json`` and the figures; one of nothing is not drawn, and one from before goes."""
    import pandas as pd

    from vitbench.measure.tracing.memory import MIB
    from vitbench.plots import style
    from vitbench.plots.tracing import block_times, memory_timeline

    text = json.dumps(summary.as_dict(), indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "summary.json").write_text(text + "\n", encoding="utf-8")
    figures = {}
    if summary.blocks:
        figures["blocks"] = block_times(pd.DataFrame([vars(block) for block in summary.blocks]))
    if (memory := summary.memory) is not None:
        levels = pd.DataFrame(memory.timeline, columns=["ms", "bytes"])
        figures["memory"] = memory_timeline(
            levels.assign(mib=levels["bytes"] / MIB),
            peak_mib=memory.peak / MIB,
            held_mib=None if memory.held is None else memory.held / MIB,
            phases=pd.DataFrame(memory.phases, columns=["name", "from_ms", "to_ms"]),
        )
    for name in ("blocks", "memory"):
        for suffix in (".svg", ".png"):
            (folder / f"{name}{suffix}").unlink(missing_ok=True)
    for name, figure in figures.items():
        style.save(figure, folder / name)


def _print(summary: Summary, form: str) -> None:
    from vitbench.measure.tracing import tables

    if form == "json":
        print(json.dumps(summary.as_dict(), indent=2, ensure_ascii=False))
    else:
        print({"csv": tables.csv, "markdown": tables.markdown, "table": tables.text}[form](summary))


def _opened(folder: Path) -> list[str]:
    """How to look at it."""
    from importlib.util import find_spec

    there = find_spec("torch_tb_profiler") is not None and find_spec("tensorboard") is not None
    lines = [f"written: {folder}/ (trace, summary.json, figures)"]
    if not there:
        lines.append("TensorBoard and its profiler plugin are not installed: type pip install 'vitbench[trace]'")
    return [*lines, f"open it: tensorboard --logdir {folder}, then the page PYTORCH_PROFILER"]


if __name__ == "__main__":
    sys.exit(main())
