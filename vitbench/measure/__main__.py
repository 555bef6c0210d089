"""``python -m vitbench.measure MODEL [MODEL …]``: what named models cost, side by side."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import tyro

from vitbench.declare.measure import Dtype, MeasureConfig
from vitbench.declare.model import ModelConfig
from vitbench.declare.zoo import names
from vitbench.utils import cli, display, threads
from vitbench.utils.errors import UserError, choices
from vitbench.utils.format import absent, ratio, si, significant, text

if TYPE_CHECKING:
    from vitbench.measure.side_by_side import SideBySide

PROG = "python -m vitbench.measure"
Other: TypeAlias = Literal["memory", "counters", "batch-sizes", "largest-batch"]

Column: TypeAlias = tuple[str, Callable[[Any], str]]
"""Heading, and how a value is written."""

COUNTED: dict[str, Column] = {
    "params": ("Parameters", si),
    "macs": ("MACs per image", si),
    "activations": ("Activations per image", si),
    "peak_memory_inference_mib": ("Peak memory, inference (MiB)", significant),
    "peak_memory_training_mib": ("Peak memory, training (MiB)", significant),
}
TIMED: dict[str, Column] = {
    "latency_ms": ("Latency (ms)", significant),
    "latency_ratio": ("Ratio to the first", ratio),
    "latency_ratio_verdict": ("Verdict", text),
    "throughput_img_s": ("Throughput (img/s)", significant),
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure parameters, MACs, memory, latency and throughput of named models, side by side.

    All models are compared with the first. One session times them interleaved, together with a copy of the first; if
    that copy seems to differ, verdicts are withheld. Weights are random; nothing is downloaded.
    """

    models: Annotated[tuple[str, ...], tyro.conf.Positional, cli.option("MODEL [MODEL …]", "none")] = ()
    """Name a zoo model (vit_base_patch16_224, resnet50), timm:NAME, torchvision:NAME, or package.module:function."""
    img_size: Annotated[int | None, cli.option("PX", "each model's own")] = None
    """Set the side of the images in pixels."""
    batch_size: int = 8
    """Set the number of images per call."""
    threads: int = 1
    """Set the number of torch threads on the CPU."""
    dtype: Dtype = "float32"
    """Set the data type of weights and images."""
    device: str = "auto"
    """Run on this device: auto, cpu or cuda."""
    budget: float = 10.0
    """Time the models for this many seconds; large models take at least six short blocks."""
    only: Annotated[Other | None, cli.option("{memory,counters,batch-sizes,largest-batch}", "none")] = None
    """Print another table instead. memory: modelled memory by part, and allocated and resident memory in fresh
    processes. counters: MACs that fvcore's and torch's counters miss, at 224 and 384 px. batch-sizes: throughput at
    1, 2, 4 … images, up to --batch-size. largest-batch: the largest batch that fits, predicted and confirmed."""
    format: display.Format = "table"
    """Choose the output format; csv and json have full precision and every column. Notes go to stderr, except under a
    table."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 all measured, 1 with models that failed, 2 a request that cannot be met, 130 interrupted."""
    return cli.run(lambda: measure(cli.parse(Options, argv, prog=PROG)))


def measure(options: Options) -> int:
    """Measures and prints.

    Raises:
        UserError: the request cannot be met.
    """
    if not options.models:
        raise UserError(
            f"no model given; choose from {choices(names())}, or timm:NAME: type {PROG} {names()[0]} resnet50"
        )
    if not options.budget > 0:
        raise UserError(f"--budget {options.budget:g} leaves no time: it takes more than 0 seconds")
    settings = MeasureConfig(batch_size=options.batch_size, threads=options.threads, dtype=options.dtype)
    threads.set_environment(options.threads)
    cli.import_from_here()

    from vitbench.devices import resolve_device
    from vitbench.measure.side_by_side import side_by_side
    from vitbench.models.by_name import config_of

    device = resolve_device(options.device)
    models: dict[str, ModelConfig] = {}
    for name in options.models:
        copies = sum(known.partition(" #")[0] == name for known in models)
        models[f"{name} #{copies + 1}" if copies else name] = config_of(name, options.img_size)
    if options.only is not None:
        return _print_other(options.only, dataclasses.replace(options, device=device), models, settings)
    found = side_by_side(models, settings, device=device, budget_s=options.budget, progress=cli.progress)
    if options.format == "csv":
        print(found.table().to_csv(index=False, lineterminator="\n"), end="")
    else:
        rows = json.loads(found.table().to_json(orient="records", double_precision=15))
        display.write(options.format, rows, _table(found))
    _say(options, _notes(found))
    return 1 if found.failed else 0


def _print_other(name: Other, options: Options, models: dict[str, ModelConfig], settings: MeasureConfig) -> int:
    """Prints the table that ``--only`` names. Exit status: 1 where something was not measured."""
    from vitbench.measure import other_tables

    found = other_tables.TABLES[name](models, settings, options.device, options.img_size)
    display.write(options.format, found.rows, found.table, fields=[*found.rows[0]] if found.rows else ["variant"])
    _say(options, [*found.notes, *found.reasons])
    return 1 if found.reasons else 0


def _say(options: Options, notes: list[str]) -> None:
    """Prints what the numbers apply to: under a table, else on stderr."""
    print("\n".join(notes), file=sys.stdout if options.format == "table" else sys.stderr)


def _table(found: SideBySide) -> display.Table:
    """The columns that differ between models; what is alike in all rows is left to the notes."""
    columns = {**COUNTED, **TIMED}
    failed = found.failed > 0
    rows = []
    for row in found.rows.values():
        cells = [row["variant"], row["img_size"]]
        for name, (_, form) in columns.items():
            low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
            span = "" if absent(low) or absent(high) else f" [{form(low)}, {form(high)}]"
            cells.append(form(row.get(name)) + span)
        rows.append([*cells, *[row["status"]] * failed])
    heads = ["Model", "Image (px)", *(title for title, _ in columns.values()), *["Status"] * failed]
    return display.Table(heads=heads, rows=rows, left=("Verdict", "Status"), wrap=("Verdict",))


def _notes(found: SideBySide) -> list[str]:
    """What the numbers apply to, and how far they can be trusted."""
    lines = [", ".join(f"{key.replace('_', ' ')} {value}" for key, value in found.scope.items())]
    lines += [f"{name} {row['status']}: {row['reason']}" for name, row in found.rows.items() if row["status"] != "ok"]
    compared = found.compared
    if compared is None:
        return [*lines, "no model could be timed"]
    control = "held" if compared.valid else "FAILED: verdicts are withheld; try again when the machine is quieter"
    lines.append(f"A/A control {control}; noise floor ±{100 * compared.session.noise_floor:.1f}%")
    if compared.grade == "D":
        lines.append("noise grade D: absolute latencies are withheld, ratios are valid")
    first = next(iter(found.rows))
    if compared.session.baseline != first:
        lines.append(f"{first} could not be timed: ratios are to {compared.session.baseline}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
