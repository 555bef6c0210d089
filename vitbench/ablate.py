"""``python -m vitbench.ablate NAME``: run (or resume) an ablation, then write its table, figures and report."""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from vitbench import cli, discovery
from vitbench.ablation import DATA_FIELDS, Ablation, parse_setting
from vitbench.config import Tuning
from vitbench.errors import UserError, choices

if TYPE_CHECKING:
    from vitbench.run import Outcome, Plan
    from vitbench.run.view import PlainView

PROG = "python -m vitbench.ablate"

LOG_WIDTH = 132
PUBLISHED_PROCESSES = 3

NEEDS = {"teacher": "taught by", "init_from": "starts from"}
"""What a row has of another one, by role."""

Flag = tyro.conf.FlagCreatePairsOff[bool]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Run (or resume) an ablation, then write its table, figures and report.

    Interrupt it at any moment: the same command goes on, and repeats nothing that was recorded.
    """

    name: Annotated[str | None, tyro.conf.Positional, cli.option("NAME", "none")] = None
    """An ablation's name, or the path of its file."""
    list: Flag = False
    """Show what exists."""
    dry_run: Flag = False
    """Show the plan: variants, trials, MACs, estimated time."""
    seeds: Annotated[int | None, cli.option("N", "the ablation's")] = None
    """Training runs of each variant; 6 or more for a verdict on accuracy."""
    epochs: Annotated[int | None, cli.option("N", "the ablation's")] = None
    """Passes over the training split."""
    data: Annotated[str | None, cli.option("NAME", "the ablation's")] = None
    """Another data set: digits, quadrant, majority, same_different, translation, folder:PATH[@SIZE],
    imagenet:PATH[@SIZE], cifar10:PATH, cifar100:PATH, mnist:PATH, fashion_mnist:PATH, npz:PATH or
    python:MODULE:FUNCTION."""
    recipe: Annotated[str | None, cli.option("NAME", "the ablation's")] = None
    """A published training recipe instead: small, cifar, deit, simple_vit, resnet."""
    tries: Annotated[int | None, cli.option("N", "the ablation's")] = None
    """Tune learning rate and weight decay on the validation split, so many tries for every family; 0: do not."""
    set: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], cli.option("FIELD=VALUE", "none; repeatable")] = ()
    """Change a setting of the baseline: --set depth=6 --set train.lr=0.001."""
    device: str = "auto"
    """auto, cpu or cuda."""
    dtype: Annotated[str | None, cli.option("DTYPE", "float32")] = None
    """Of weights and images in timings: float32, bfloat16 or float16."""
    publish: Flag = False
    """Time every session in 3 processes, which become the units: for numbers that are to be published."""
    jobs: Annotated[int | None, cli.option("N", "one a core")] = None
    """Trainings side by side; timing always has the machine to itself."""
    timeout: Annotated[float | None, cli.option("SECONDS", "no limit")] = None
    """Seconds that a trial may take."""
    budget: Annotated[float | None, cli.option("SECONDS", "no limit")] = None
    """Begin no trial later; report what is there. The same command goes on."""
    results: Annotated[Path | None, cli.option("DIR", "results/NAME")] = None
    """Folder of this run."""
    fresh: Flag = False
    """Move an existing folder aside and start over."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 all measured, 1 with failed trials, 2 a request that cannot be met, 130 interrupted."""
    return cli.run(lambda: ablate(cli.parse(Options, argv, prog=PROG), argv))


def ablate(options: Options, argv: Sequence[str] | None = None) -> int:
    """Runs one request.

    Raises:
        UserError: it cannot be met.
    """
    if options.list:
        return show_list()
    if options.name is None:
        names = choices(listing.name for listing in discovery.listings())
        raise UserError(f"which ablation? {names} exist: type {PROG} pos_embed")
    loaded = discovery.load(options.name)
    declared = dataclasses.replace(loaded.ablation, **trained_by(options, loaded.ablation))
    settings = asked_for(options)
    shaped = {name: value for name, value in settings.items() if "." not in name}  # what must suit the images
    ablation = declared.with_settings({n: v for n, v in settings.items() if n not in shaped or not options.data})
    directory = options.results or Path("results") / loaded.name

    from vitbench.run import check_request, execute, plan, survey
    from vitbench.run.local import LocalExecutor

    check_request(seeds=options.seeds, jobs=options.jobs, timeout_s=options.timeout, budget_s=options.budget)
    view = view_of_run()
    executor = LocalExecutor(threads=ablation.measure.threads, import_path=loaded.path.resolve().parent)
    with contextlib.closing(view), executor:
        surveyed = survey(executor, options.data or ablation.data, options.device, ablation.sources)
        if options.data is not None:
            shape = {name: surveyed.data[name] for name in DATA_FIELDS}
            ablation = ablation.on_data(options.data, **shape, settings=shaped)
        common: dict[str, Any] = {
            "name": loaded.name,
            "seeds": options.seeds,
            "jobs": options.jobs,
            "timeout_s": options.timeout,
            "executor": executor,
            "surveyed": surveyed,
        }
        if options.dry_run:
            planned = plan(ablation, directory=None if options.fresh else directory, **common)
        else:
            outcome = execute(
                ablation,
                directory=directory,
                budget_s=options.budget,
                command=shlex.join([*PROG.split(), *(sys.argv[1:] if argv is None else argv)]),
                summary=loaded.summary,
                watch=view,
                fresh=options.fresh,
                **common,
            )
    if options.dry_run:
        return show_plan(planned)
    if outcome.interrupted:
        raise KeyboardInterrupt
    return show_results(directory, outcome)


def trained_by(options: Options, ablation: Ablation) -> dict[str, Any]:
    """Recipe and tuning, where the command line names others."""
    found: dict[str, Any] = {}
    if options.recipe is not None:
        from vitbench.recipes import recipe

        found["train"] = recipe(options.recipe)
    if options.tries is not None:
        if options.tries < 0:
            raise UserError(f"--tries {options.tries} is too few: type 0 for none, or 2 or more")
        tuning = ablation.tuning or Tuning(tries=1)
        found["tuning"] = dataclasses.replace(tuning, tries=options.tries) if options.tries else None
    return found


def asked_for(options: Options) -> dict[str, Any]:
    """The settings that the command line changes."""
    settings = dict(parse_setting(text) for text in options.set)
    if options.epochs is not None:
        settings["train.epochs"] = options.epochs
    if options.dtype is not None:
        settings["measure.dtype"] = options.dtype
    if options.publish:
        settings.setdefault("measure.processes", PUBLISHED_PROCESSES)
    return settings


def show_list() -> int:
    """What exists: name, question, duration."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("ablation", "question", "takes"):
        table.add_column(column)
    for listing in discovery.listings():
        own = "" if listing.shipped else " (yours)"
        table.add_row(listing.name + own, listing.broken or listing.question, listing.duration)
    console = Console()
    console.print(table)
    console.print(f"\nRun one: {PROG} pos_embed", highlight=False)
    return 0


def show_plan(made: Plan) -> int:
    """What would be run, and for how long."""
    from rich.console import Console
    from rich.table import Table

    from vitbench.run.view import duration, opening

    console = Console()
    console.print(opening(made), highlight=False, markup=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("variant")
    table.add_column("MACs per image", justify="right")
    table.add_column("training images", justify="right")
    table.add_column("")
    data = made.survey.data
    for variant in made.variants:
        macs = made.macs.get(variant.name)
        images = variant.images(data["num_train"], data["num_classes"])
        remark = "baseline" if variant.is_baseline else f"skipped: {variant.reason}" if variant.reason else ""
        remark = remark or ", ".join(f"{NEEDS[role]} {name}" for role, name in variant.needs.items())
        table.add_row(variant.name, "" if macs is None else f"{macs:,}", f"{images:,}", remark)
    console.print(table)
    for kind, number in made.counts.items():
        console.print(f"{number:4d} × {kind}", highlight=False)
    if made.seconds is not None:
        console.print(f"about {duration(made.seconds)} on this machine", highlight=False)
    return 0


def show_results(directory: Path, outcome: Outcome) -> int:
    """Writes table, figures and report; prints the table and where the rest lies."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from vitbench import report
    from vitbench.run.view import spent

    start = time.monotonic()
    heads, rows = report.write_and_show(directory)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, head in enumerate(heads):
        table.add_column(head, no_wrap=number == 0)
    for row in rows:
        table.add_row(*map(escape, row))
    console = Console()
    if not console.is_terminal:
        console.width = LOG_WIDTH
    console.print()
    console.print(table)
    console.print()
    for line in (spent(outcome, reporting_s=time.monotonic() - start), f"report: {directory / 'report.html'}"):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return 1 if outcome.failed else 0


def view_of_run() -> PlainView:
    """A live bar in a terminal, a line a trial otherwise."""
    from rich.console import Console

    from vitbench.run.view import LiveView, PlainView

    console = Console()
    return LiveView(console) if console.is_terminal and not console.is_dumb_terminal else PlainView(console)


if __name__ == "__main__":
    sys.exit(main())
