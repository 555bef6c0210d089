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
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from vitbench.declare import discovery
from vitbench.declare.ablation import DATA_FIELDS, Ablation, parse_setting
from vitbench.declare.tuning import Tuning
from vitbench.utils import cli
from vitbench.utils.errors import UserError, choices

if TYPE_CHECKING:
    from vitbench.run import Outcome, Plan
    from vitbench.run.progress.tensorboard import Scalars
    from vitbench.run.progress.view import PlainView

PROG = "python -m vitbench.ablate"

LOG_WIDTH = 132
PUBLISHED_PROCESSES = 3

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
    design: Annotated[str | None, cli.option("DESIGN", "the ablation's")] = None
    """Which combinations of its axes are rows: one_at_a_time, grid, leave_one_out (the baseline is the full recipe),
    add_one_in (it is the bare one), or random with --sample."""
    sample: Annotated[int | None, cli.option("N", "the ablation's")] = None
    """Rows drawn at random from the grid, the baseline among them; more keep the fewer."""
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
    executor: Literal["local", "ray"] = "local"
    """Where trials run: on this machine, or as tasks of Ray (pip install vitbench[ray])."""
    ray_address: Annotated[str | None, cli.option("HOST:PORT", "RAY_ADDRESS, else this machine's own")] = None
    """Head node of a Ray cluster that this machine is part of; auto finds it."""
    fresh: Flag = False
    """Move an existing folder aside and start over."""
    wait: Flag = False
    """If another process is writing the folder, wait until it has ended."""
    tensorboard: Flag = False
    """Write curves and accuracies for TensorBoard too, into DIR/tensorboard (pip install vitbench[trace])."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 all measured, 1 with failed trials, 2 a request that cannot be met, 130 interrupted."""
    with cli.outliving_readers():
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
    retrained = trained_by(options, loaded.ablation)
    declared = dataclasses.replace(loaded.ablation, **retrained) if retrained else loaded.ablation
    declared = designed_by(options, declared)
    settings = asked_for(options)
    shaped = {name: value for name, value in settings.items() if "." not in name}  # what must suit the images
    ablation = declared.with_settings({n: v for n, v in settings.items() if n not in shaped or not options.data})
    directory = options.results or Path("results") / loaded.name

    from vitbench.run import check_request, execute, plan, run_preflight
    from vitbench.run.executors import open_executor
    from vitbench.run.progress.observer import Observers

    check_request(seeds=options.seeds, jobs=options.jobs, timeout_s=options.timeout, budget_s=options.budget)
    view = view_of_run()
    if lost := len(loaded.ablation.claims) - len(declared.claims):
        view.note(f"claims about rows that this design does not have are left out: {lost}")
    scalars = scalars_of(directory, view) if options.tensorboard else None
    folder = loaded.path.resolve().parent
    place: dict[str, Any] = {"name": options.executor, "address": options.ray_address}
    with (
        contextlib.closing(view),
        open_executor(**place, threads=ablation.measure.threads, import_path=folder) as executor,
    ):
        preflight = run_preflight(executor, options.data or ablation.data, options.device, ablation.sources)
        if options.data is not None:
            shape = {name: preflight.data[name] for name in DATA_FIELDS}
            ablation = ablation.on_data(options.data, **shape, settings=shaped)
        common: dict[str, Any] = {
            "name": loaded.name,
            "seeds": options.seeds,
            "jobs": options.jobs,
            "timeout_s": options.timeout,
            "reuse_from": None if options.fresh else directory.parent,
            "executor": executor,
            "preflight": preflight,
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
                watch=view if scalars is None else Observers(view, scalars),
                fresh=options.fresh,
                wait=options.wait,
                **common,
            )
    if options.dry_run:
        return show_plan(planned)
    if scalars is not None:
        scalars.catch_up()  # with what was recorded for one variant and is true of another one
    if outcome.stopped:
        raise KeyboardInterrupt
    status = show_results(directory, outcome)
    return cli.INTERRUPTED if outcome.interrupted else status


def trained_by(options: Options, ablation: Ablation) -> dict[str, Any]:
    """Recipe and tuning, where the command line names others."""
    found: dict[str, Any] = {}
    if options.recipe is not None:
        from vitbench.declare.recipes import recipe

        found["train"] = recipe(options.recipe)
    if options.tries is not None:
        if options.tries < 0:
            raise UserError(f"--tries {options.tries} is too few: type 0 for none, or 2 or more")
        tuning = ablation.tuning or Tuning(tries=1)
        found["tuning"] = dataclasses.replace(tuning, tries=options.tries) if options.tries else None
    return found


def designed_by(options: Options, ablation: Ablation) -> Ablation:
    """The ablation with the rows that the command line asks for."""
    if options.design is None and options.sample is None:
        return ablation
    design: Any = options.design or "random"
    sample = ablation.sample if options.sample is None and design == "random" else options.sample
    return ablation.with_design(design, sample)


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

    from vitbench.run.planning.preview import show

    show(made, Console())
    return 0


def show_results(directory: Path, outcome: Outcome) -> int:
    """Writes table, figures and report; prints the table and where the rest lies."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from vitbench import report
    from vitbench.run.progress.view import spent

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


def scalars_of(directory: Path, view: PlainView) -> Scalars:
    """What writes TensorBoard's files; raises UserError where it cannot."""
    from vitbench.run.progress.tensorboard import Scalars, check_tensorboard

    check_tensorboard()
    return Scalars(directory, view.note)


def view_of_run() -> PlainView:
    """A live bar in a terminal, a line a trial otherwise."""
    from rich.console import Console

    from vitbench.run.progress.view import LiveView, PlainView

    console = Console()
    return LiveView(console) if console.is_terminal and not console.is_dumb_terminal else PlainView(console)


if __name__ == "__main__":
    sys.exit(main())
