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
from vitbench.declare.ablation import Ablation
from vitbench.declare.settings import DATA_FIELDS, parse_setting
from vitbench.declare.tuning import Tuning
from vitbench.utils import cli, display
from vitbench.utils.errors import UserError, choices

if TYPE_CHECKING:
    from vitbench.run import Outcome, Plan
    from vitbench.run.progress.tensorboard import Scalars
    from vitbench.run.progress.view import PlainView

PROG = "python -m vitbench.ablate"

PUBLISHED_PROCESSES = 3

Flag = tyro.conf.FlagCreatePairsOff[bool]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Run (or resume) an ablation, then write its table, figures and report.

    Interrupt it at any moment; run the same command to resume. Recorded trials are not repeated.
    """

    name: Annotated[str | None, tyro.conf.Positional, cli.option("NAME", "none")] = None
    """Name an ablation, or give the path of its file."""
    list: Flag = False
    """List the ablations that exist."""
    dry_run: Flag = False
    """Print the plan (variants, trials, MACs, estimated time) and run nothing."""
    seeds: Annotated[int | None, cli.option("N", "the ablation's")] = None
    """Train each variant with this many seeds; a verdict on accuracy needs 6 or more."""
    epochs: Annotated[int | None, cli.option("N", "the ablation's")] = None
    """Train for this many passes over the training split."""
    data: Annotated[str | None, cli.option("NAME", "the ablation's")] = None
    """Use another data set: digits, quadrant, majority, same_different, translation, folder:PATH[@SIZE],
    imagenet:PATH[@SIZE], cifar10:PATH, cifar100:PATH, mnist:PATH, fashion_mnist:PATH, npz:PATH or
    python:MODULE:FUNCTION."""
    recipe: Annotated[str | None, cli.option("NAME", "the ablation's")] = None
    """Train with a published recipe: small, cifar, deit, simple_vit or resnet."""
    tries: Annotated[int | None, cli.option("N", "the ablation's")] = None
    """Tune learning rate and weight decay on the validation split, N tries per family; 0 turns tuning off."""
    design: Annotated[str | None, cli.option("DESIGN", "the ablation's")] = None
    """Combine the axes by one_at_a_time, grid, leave_one_out (the baseline is the full recipe), add_one_in
    (it is the bare recipe), or random with --sample."""
    sample: Annotated[int | None, cli.option("N", "the ablation's")] = None
    """Draw N rows of the grid at random, the baseline included; a larger sample contains the smaller one."""
    set: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], cli.option("FIELD=VALUE", "none; repeatable")] = ()
    """Change a setting of the baseline: --set depth=6 --set train.lr=0.001."""
    device: str = "auto"
    """Run on this device: auto, cpu or cuda."""
    dtype: Annotated[str | None, cli.option("DTYPE", "float32")] = None
    """Time with this data type: float32, bfloat16 or float16."""
    publish: Flag = False
    """Repeat each timing session in three processes and compute intervals over them, for numbers to be published."""
    jobs: Annotated[int | None, cli.option("N", "one a core")] = None
    """Train N models side by side; timing always has the machine to itself."""
    timeout: Annotated[float | None, cli.option("SECONDS", "no limit")] = None
    """Stop a trial after SECONDS and record a timeout."""
    budget: Annotated[float | None, cli.option("SECONDS", "no limit")] = None
    """Start no new trial after SECONDS, then write the report. Run the same command to resume."""
    results: Annotated[Path | None, cli.option("DIR", "results/NAME")] = None
    """Write records and report to DIR."""
    executor: Literal["local", "ray"] = "local"
    """Run trials on this machine (local), or as tasks of a Ray cluster (pip install vitbench[ray])."""
    ray_address: Annotated[str | None, cli.option("HOST:PORT", "RAY_ADDRESS, else a cluster on this machine")] = None
    """Connect to the head node of a Ray cluster that this machine belongs to; auto finds it."""
    fresh: Flag = False
    """Move an existing results folder aside and start over."""
    wait: Flag = False
    """Wait while another process writes to the results folder."""
    tensorboard: Flag = False
    """Write learning curves and accuracies for TensorBoard to DIR/tensorboard (pip install vitbench[trace])."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 all measured, 1 with failed trials, 2 a request that cannot be met, 130 interrupted."""
    with cli.surviving_closed_output():
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
        raise UserError(f"no ablation given; choose from {names}: type {PROG} pos_embed")
    loaded = discovery.load(options.name)
    retrained = training_from(options, loaded.ablation)
    declared = dataclasses.replace(loaded.ablation, **retrained) if retrained else loaded.ablation
    declared = design_from(options, declared)
    settings = settings_from(options)
    shaped = {name: value for name, value in settings.items() if "." not in name}  # must fit the images
    ablation = declared.with_settings({n: v for n, v in settings.items() if n not in shaped or not options.data})
    directory = options.results or Path("results") / loaded.name

    from vitbench.run import check_request, execute, plan, run_preflight
    from vitbench.run.executors import open_executor
    from vitbench.run.progress.observer import Observers

    check_request(seeds=options.seeds, jobs=options.jobs, timeout_s=options.timeout, budget_s=options.budget)
    view = view_of_run()
    if lost := len(loaded.ablation.claims) - len(declared.claims):
        view.note(f"{lost} claims are left out because this design lacks their rows")
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
        scalars.catch_up()  # records that one variant shares with another
    if outcome.stopped:
        raise KeyboardInterrupt
    status = show_results(directory, outcome)
    return cli.INTERRUPTED if outcome.interrupted else status


def training_from(options: Options, ablation: Ablation) -> dict[str, Any]:
    """The recipe and tuning that the command line asks for."""
    found: dict[str, Any] = {}
    if options.recipe is not None:
        from vitbench.declare.recipes import recipe

        found["train"] = recipe(options.recipe)
    if options.tries is not None:
        if options.tries < 0:
            raise UserError(f"--tries {options.tries} is too few: type 0 for no tuning, or 2 or more")
        tuning = ablation.tuning or Tuning(tries=1)
        found["tuning"] = dataclasses.replace(tuning, tries=options.tries) if options.tries else None
    return found


def design_from(options: Options, ablation: Ablation) -> Ablation:
    """The ablation under the design that the command line asks for."""
    if options.design is None and options.sample is None:
        return ablation
    design: Any = options.design or "random"
    sample = ablation.sample if options.sample is None and design == "random" else options.sample
    return ablation.with_design(design, sample)


def settings_from(options: Options) -> dict[str, Any]:
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
    """Prints each ablation's name, question and duration."""
    rows = [
        (listing.name + ("" if listing.shipped else " (yours)"), listing.broken or listing.question, listing.duration)
        for listing in discovery.listings()
    ]
    heads = ("Ablation", "Question", "Duration")
    display.show(display.Table(heads=heads, rows=rows, left=heads, wrap=heads[1:]))
    display.lines(f"Run one: {PROG} pos_embed")
    return 0


def show_plan(made: Plan) -> int:
    """Prints what would be run, and how long it takes."""
    from vitbench.run.progress.preview import show

    show(made, display.console())
    return 0


def show_results(directory: Path, outcome: Outcome) -> int:
    """Writes table, figures and report; prints the table, the time spent and the report's path."""
    from vitbench import report
    from vitbench.run.progress.view import spent

    start = time.monotonic()
    heads, rows = report.write_and_show(directory)
    display.show(display.Table(heads=heads, rows=rows, left=heads, wrap=heads[1:]))
    display.lines(spent(outcome, reporting_s=time.monotonic() - start), f"report: {directory / 'report.html'}")
    return 1 if outcome.failed else 0


def scalars_of(directory: Path, view: PlainView) -> Scalars:
    """The writer of TensorBoard files; raises UserError if its package is missing."""
    from vitbench.run.progress.tensorboard import Scalars, check_tensorboard

    check_tensorboard()
    return Scalars(directory, view.note)


def view_of_run() -> PlainView:
    """A live progress bar in a terminal, else one line per trial."""
    from rich.console import Console

    from vitbench.run.progress.view import LiveView, PlainView

    console = Console()
    return LiveView(console) if console.is_terminal and not console.is_dumb_terminal else PlainView(console)


if __name__ == "__main__":
    sys.exit(main())
