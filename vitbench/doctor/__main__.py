"""``python -m vitbench.doctor``: whether this machine's numbers can be believed today, and what to change."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vitbench.utils import cli, threads
from vitbench.utils.errors import UserError

if TYPE_CHECKING:
    from vitbench.doctor.display import Checkup

PROG = "python -m vitbench.doctor"
START_S = 3.0
"""Seconds that loading torch takes, about."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Whether this machine's numbers can be believed today: noise, false claims, smallest effect, ceilings, advice.

    A tiny model is compared with itself again and again: whatever is claimed is false. Takes under a minute on a quiet
    machine. Exit status 1: more than 10 in 100 comparisons claimed a difference.
    """

    comparisons: int = 100
    """Of a tiny model with itself, a fifth of a second each."""
    budget: float = 10.0
    """Seconds of the session that tells the smallest effect."""
    threads: int = 1
    """Of torch, on the CPU: those that you measure with."""
    device: str = "auto"
    """auto, cpu or cuda: whose ceilings. Comparisons run on the CPU."""
    json: bool = False
    """Everything, with raw samples, in place of the text."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 the target held, 1 it was missed, 2 a request that cannot be met, 130 interrupted."""
    return cli.run(lambda: doctor(cli.parse(Options, argv, prog=PROG)))


def doctor(options: Options) -> int:
    """Checks and prints.

    Raises:
        UserError: the request cannot be met.
    """
    if options.comparisons < 1:
        raise UserError(f"--comparisons {options.comparisons} is too few: it takes 1 or more, and 100 for the target")
    if not options.budget > 0:
        raise UserError(f"--budget {options.budget:g} leaves no time: it takes more than 0 seconds")
    if options.threads < 1:
        raise UserError(f"--threads {options.threads} is too few: it takes 1 or more")
    threads.set_environment(options.threads)

    from vitbench.doctor.display import as_json, as_text

    found = examine(options)
    cli.progress("")
    print(json.dumps(as_json(found), indent=2, ensure_ascii=False) if options.json else as_text(found))
    return 0 if found.held else 1


def examine(options: Options) -> Checkup:
    """All checks, one after another.

    Raises:
        UserError: no such device here.
    """
    start = time.monotonic()
    cli.progress("loading torch")

    from vitbench.doctor import live_checks
    from vitbench.doctor.advice import Condition, advise
    from vitbench.doctor.display import Checkup
    from vitbench.doctor.readings import clock, system
    from vitbench.measure.energy import NoCounterError, counter_of
    from vitbench.measure.prepare import available
    from vitbench.measure.timing import host_load
    from vitbench.run import environment

    device, load = available(options.device), host_load.load()
    plan = Plan(
        start,
        loading=START_S,
        sleeping=live_checks.SLEEP_S,
        claiming=live_checks.COMPARISON_S * options.comparisons,
        effect=options.budget,
        ceilings=live_checks.CEILING_S * len(live_checks.DTYPES),
    )
    plan.on("sleeping")(0.0, "watching what others do")
    asleep = live_checks.asleep(live_checks.SLEEP_S)
    watch = live_checks.Watch()
    claims = live_checks.claims(options.comparisons, plan.on("claiming"))
    effect = live_checks.smallest_effect(options.threads, plan.on("effect"), budget_s=options.budget)
    timing = watch.window()
    ceilings = live_checks.all_ceilings(options.threads, device, plan.on("ceilings"))
    try:
        energy = counter_of(device).source
    except NoCounterError as error:
        energy = f"not measured: {error}"
    facts = torch_facts(device)
    body = environment.environment(facts, threads=options.threads).body
    affinity = body["cpu"]["affinity"]
    ticking, set_up = clock(), system()
    condition = Condition(
        threads=options.threads,
        affinity=affinity if isinstance(affinity, list) else list(range(threads.cores())),
        all_cores=body["cpu"]["cores"],
        pressure=asleep.pressure,
        pressure_timing=timing.pressure,
        steal=timing.steal,
        others=asleep.others,
        migrations_per_s=None if timing.migrations is None else timing.migrations / timing.seconds,
        throttled=timing.throttled,
        clock=ticking,
        system=set_up,
    )
    return Checkup(
        environment=body,
        code=environment.code(),
        torch_threads=facts["threads"],
        device=device,
        allocator=host_load.allocator(),
        load=load,
        clock=ticking,
        system=set_up,
        asleep=asleep,
        timing=timing,
        claims=claims,
        effect=effect,
        ceilings=ceilings,
        energy=energy,
        advice=advise(condition),
        seconds=time.monotonic() - start,
    )


class Plan:
    """How long the checks take: what was planned, corrected by what those that are over took."""

    def __init__(self, start: float, **parts: float) -> None:
        """The parts in order, with their seconds; ``start`` by the monotonic clock."""
        self.start = start
        self.parts = parts

    def on(self, part: str) -> Callable[[float, str], None]:
        """Shows how far a part is, and the seconds left."""
        names = list(self.parts)
        before = sum(self.parts[name] for name in names[: names.index(part)])

        def show(done: float, text: str) -> None:
            cli.progress(f"{text}, about {self.left(before + done * self.parts[part]):.0f} s left")

        return show

    def left(self, planned: float, now: float | None = None) -> float:
        """Seconds left when ``planned`` of them are over."""
        took = (time.monotonic() if now is None else now) - self.start
        slower = max(1.0, took / planned) if planned > 0 else 1.0
        return slower * (sum(self.parts.values()) - planned)


def torch_facts(device: str) -> dict[str, Any]:
    """What is to be known of torch, and of the GPU that is asked for."""
    import torch

    facts: dict[str, Any] = {
        "version": str(torch.__version__),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
    }
    if device == "cuda":
        facts["gpu"] = {"name": torch.cuda.get_device_name(), "cuda": torch.version.cuda}
    return facts


if __name__ == "__main__":
    sys.exit(main())
