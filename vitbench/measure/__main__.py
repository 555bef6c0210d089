"""``python -m vitbench.measure MODEL [MODEL …]``: what named models cost, side by side."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import tyro

from vitbench.declare.measure import Dtype, MeasureConfig
from vitbench.declare.model import ModelConfig
from vitbench.declare.zoo import names
from vitbench.utils import cli, threads
from vitbench.utils.errors import UserError, choices

if TYPE_CHECKING:
    from vitbench.measure.side_by_side import SideBySide

PROG = "python -m vitbench.measure"
Only: TypeAlias = Literal["memory", "counters", "batch-sizes", "largest-batch"]
LOG_WIDTH = 180
WORDS = ("Model", "Verdict", "Status", "Step", "Tried", "Gains under 5% a doubling")
"""Headings of columns that are set to the left."""

SHOWN = ("params", "macs", "activations", "peak_memory_inference_mib", "peak_memory_training_mib")
"""Columns that stand in a table for readers as they are; csv and json have all."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Parameters, MACs, memory, latency and throughput of named models, side by side.

    The first is what the others are compared with. They are timed in one session, interleaved, together with a copy of
    the first: where that copy is found to differ, no verdict is given. Nothing is downloaded; weights are random.
    """

    models: Annotated[tuple[str, ...], tyro.conf.Positional, cli.option("MODEL [MODEL …]", "none")] = ()
    """A zoo name (vit_base_patch16_224, resnet50), timm:NAME, torchvision:NAME, or package.module:function."""
    img_size: Annotated[int | None, cli.option("PX", "each model's own")] = None
    """Side of the images."""
    batch_size: int = 8
    """Images in a call."""
    threads: int = 1
    """Of torch, on the CPU."""
    dtype: Dtype = "float32"
    """Of weights and images."""
    device: str = "auto"
    """auto, cpu or cuda."""
    budget: float = 10.0
    """Seconds of the joint timing; large models take at least six short blocks."""
    only: Annotated[Only | None, cli.option("{memory,counters,batch-sizes,largest-batch}", "none")] = None
    """Another table instead. memory: what a step's memory goes to, and what is allocated and resident, in fresh
    processes. counters: what fvcore and torch's counter leave out of the MACs, at 224 and 384 px. batch-sizes:
    throughput at 1, 2, 4 … images, up to --batch-size. largest-batch: how many images fit, predicted and run."""
    format: Literal["table", "csv", "json", "markdown", "latex"] = "table"
    """csv and json: full precision, every column. What the numbers apply to goes to stderr, except under a table."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 all measured, 1 with models that failed, 2 a request that cannot be met, 130 interrupted."""
    return cli.run(lambda: measure(cli.parse(Options, argv, prog=PROG)))


def measure(options: Options) -> int:
    """Measures and prints.

    Raises:
        UserError: the request cannot be met.
    """
    if not options.models:
        raise UserError(f"which models? {choices(names())} exist, and timm:NAME: type {PROG} {names()[0]} resnet50")
    if not options.budget > 0:
        raise UserError(f"--budget {options.budget:g} leaves no time: it takes more than 0 seconds")
    settings = MeasureConfig(batch_size=options.batch_size, threads=options.threads, dtype=options.dtype)
    threads.ask_for(options.threads)
    cli.import_from_here()

    from vitbench.devices import resolve_device
    from vitbench.measure.side_by_side import config_of, side_by_side

    device = resolve_device(options.device)
    models: dict[str, ModelConfig] = {}
    for name in options.models:
        copies = sum(known.partition(" #")[0] == name for known in models)
        models[f"{name} #{copies + 1}" if copies else name] = config_of(name, options.img_size)
    if options.only is not None:
        return _print_only(options, models, settings, device)
    found = side_by_side(models, settings, device=device, budget_s=options.budget, progress=cli.progress)
    _print(found, options.format)
    return 1 if found.failed else 0


def _print_only(options: Options, models: dict[str, ModelConfig], settings: MeasureConfig, device: str) -> int:
    """The table that ``--only`` names, and what it applies to. Exit status: 1 where something was not measured."""
    from vitbench.measure import batch_tables
    from vitbench.measure.counts import common_counters
    from vitbench.measure.peak_memory import table

    rows: list[dict[str, Any]]
    scope = f"{settings.dtype}, {device}, threads {settings.threads}"
    if options.only == "batch-sizes":
        rows, reasons = batch_tables.batch_size_rows(models, settings, device=device, progress=cli.progress)
        heads, cells = batch_tables.batch_size_cells(rows)
        window = f"{batch_tables.WINDOWS} interleaved windows of {batch_tables.WINDOW_S:g} s"
        notes = [f"{window}; in brackets 95% intervals; {scope}", *reasons]
    elif options.only == "largest-batch":
        rows, reasons = batch_tables.largest_batch_rows(models, settings, device=device, progress=cli.progress)
        heads, cells = batch_tables.largest_batch_cells(rows)
        notes = [f"a forward pass; predicted from modelled memory, run in processes of their own; {scope}", *reasons]
    elif options.only == "memory":
        rows, reasons = table.rows(models, settings, device=device, progress=cli.progress)
        heads, cells = table.cells(rows, device)
        notes = [f"MiB; batch size {settings.batch_size}, {scope}", *reasons]
    else:
        sides = common_counters.SIDES if options.img_size is None else (options.img_size,)
        rows = common_counters.rows(options.models, sides, progress=cli.progress)
        heads, cells, reasons = list(common_counters.HEADS), common_counters.cells(rows), []
        notes = [
            "multiply-adds of the forward pass of one image, in evaluation mode; a FLOP counter's number is halved"
        ]
    if options.format == "json":
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    elif options.format == "csv":
        writer = csv.DictWriter(sys.stdout, list(rows[0]) if rows else ["variant"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    else:
        {"markdown": _markdown, "latex": _latex, "table": _terminal}[options.format](heads, cells)
    print("\n".join(notes), file=sys.stdout if options.format == "table" else sys.stderr)
    return 1 if reasons else 0


def _print(found: SideBySide, form: str) -> None:
    table = found.table()
    if form == "csv":
        print(table.to_csv(index=False, lineterminator="\n"), end="")
    elif form == "json":
        rows = json.loads(table.to_json(orient="records", double_precision=15))
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        heads, cells = _grid(found)
        {"markdown": _markdown, "latex": _latex, "table": _terminal}[form](heads, cells)
    notes = sys.stdout if form == "table" else sys.stderr
    print("\n".join(_notes(found)), file=notes)


def _grid(found: SideBySide) -> tuple[list[str], list[list[str]]]:
    """Headings and cells as readers see them; what is alike in all rows, and reasons, are left to the notes."""
    from vitbench.tables.columns import MISSING, absent, column

    rows = found.table().to_dict("records")
    failed = any(row["status"] != "ok" for row in rows)
    heads = ["Model", "Image (px)", *(column(name).title for name in SHOWN)]
    heads += ["Latency (ms)", "Ratio to the first", "Verdict", column("throughput_img_s").title]
    cells = []
    for row in rows:
        line = [row["variant"], row["img_size"], *(column(name).show(row[name]) for name in SHOWN)]
        for name in ("latency_ms", "latency_ratio"):
            show, low, high = column(name).show, row[f"{name}_low"], row[f"{name}_high"]
            span = "" if absent(low) or absent(high) else f" [{show(low)}, {show(high)}]"
            line.append(show(row[name]) + span)
        verdict = row["latency_ratio_verdict"]
        line += [MISSING if absent(verdict) else verdict, column("throughput_img_s").show(row["throughput_img_s"])]
        if failed:
            line.append(row["status"])
        cells.append(line)
    return [*heads, *["Status"] * failed], cells


def _notes(found: SideBySide) -> list[str]:
    """What the numbers apply to, and how far they can be trusted."""
    lines = [", ".join(f"{key.replace('_', ' ')} {value}" for key, value in found.scope.items())]
    lines += [f"{name} {row['status']}: {row['reason']}" for name, row in found.rows.items() if row["status"] != "ok"]
    compared = found.compared
    if compared is None:
        return [*lines, "nothing could be timed"]
    control = "held" if compared.valid else "FAILED: no verdict is given; try again when the machine is quieter"
    lines.append(f"A/A control {control}; noise floor ±{100 * compared.session.noise_floor:.1f}%")
    if compared.grade == "D":
        lines.append("noise grade D: absolute latencies are withheld, ratios stand")
    first = next(iter(found.rows))
    if compared.session.baseline != first:
        lines.append(f"{first} could not be timed: ratios are to {compared.session.baseline}")
    return lines


def _terminal(heads: list[str], cells: list[list[str]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console.width = LOG_WIDTH
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in heads:
        justify: Literal["left", "right"] = "left" if head in WORDS else "right"
        wraps = head == "Verdict" or (console.width < LOG_WIDTH and head != "Model")
        high = head.replace(", ", ",\n").replace(" (", "\n(").replace(" per ", "\nper ").replace(" to ", "\nto ")
        table.add_column(high, no_wrap=not wraps, justify=justify)
    for line in cells:
        table.add_row(*map(escape, line))
    console.print(table)
    console.print()


def _markdown(heads: list[str], cells: list[list[str]]) -> None:
    for line in (heads, ["---"] * len(heads), *cells):
        print("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |")


def _latex(heads: list[str], cells: list[list[str]]) -> None:
    """A ``tabular`` with booktabs' rules."""
    from vitbench.tables import latex as tex

    columns = "".join("l" if head in WORDS else "r" for head in heads)
    rows = [[tex.name(line[0]), *map(tex.words, line[1:])] for line in cells]
    table = tex.tabular(columns, [*map(tex.escape, heads)], rows)
    print(tex.definitions(table) + table)


if __name__ == "__main__":
    sys.exit(main())
