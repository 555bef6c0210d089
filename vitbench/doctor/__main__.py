"""``python -m vitbench.doctor``: whether to trust numbers measured on this machine now, and how to improve them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vitbench.utils import cli, threads
from vitbench.utils.errors import UserError

if TYPE_CHECKING:
    from vitbench.doctor.display import Checkup

PROG = "python -m vitbench.doctor"
DTYPES = ("float32", "bfloat16", "float16")
SLEEP_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Options:
    """Check whether numbers measured on this machine can be trusted now, and how to improve them.

    Compares a tiny model with itself many times: every difference it claims is false. Also reports the smallest
    detectable effect, the machine's ceilings, and advice. Takes under a minute on a quiet machine. The exit status is 1
    if more than 10 in 100 comparisons claim a difference.
    """

    comparisons: int = 100
    """Compare a tiny model with itself this many times, for a fifth of a second each."""
    budget: float = 10.0
    """Spend this many seconds on the session that determines the smallest detectable effect."""
    threads: int = 1
    """Use this many torch threads on the CPU; choose the number you measure with."""
    device: str = "auto"
    """Measure the ceilings of auto, cpu or cuda. The comparisons always run on the CPU."""
    json: bool = False
    """Print all results with raw samples as JSON instead of text."""


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status: 0 target reached, 1 target missed, 2 invalid request, 130 interrupted."""
    return cli.run(lambda: doctor(cli.parse(Options, argv, prog=PROG)))


def doctor(options: Options) -> int:
    """Runs all checks and prints the results; returns the exit status.

    Raises:
        UserError: an option has an invalid value, or the device is not available.
    """
    if options.comparisons < 1:
        raise UserError(f"--comparisons {options.comparisons} is too few: give 1 or more, 100 for the target")
    if not options.budget > 0:
        raise UserError(f"--budget {options.budget:g} is too short: give more than 0 seconds")
    if options.threads < 1:
        raise UserError(f"--threads {options.threads} is too few: give 1 or more")
    threads.set_environment(options.threads)

    from vitbench.doctor.display import as_json, as_text

    found = examine(options)
    cli.progress("")
    print(json.dumps(as_json(found), indent=2, ensure_ascii=False) if options.json else as_text(found))
    return 0 if found.held else 1


def examine(options: Options) -> Checkup:
    """The results of all checks, which run one after another.

    Raises:
        UserError: the device is not available.
    """
    start = time.monotonic()
    cli.progress("importing torch")

    import torch

    from vitbench.devices import device_of, resolve_device
    from vitbench.doctor import readings, self_check
    from vitbench.doctor.advice import advise
    from vitbench.doctor.display import Checkup
    from vitbench.measure.energy import Meter
    from vitbench.measure.roofline.ceilings import Ceilings, ceilings
    from vitbench.measure.timing import host_load
    from vitbench.run import environment

    device, load = resolve_device(options.device), host_load.load()
    cli.progress("watching other processes")
    monitor = readings.Monitor()
    time.sleep(SLEEP_S)
    asleep = monitor.activity()

    monitor = readings.Monitor()
    claims = self_check.false_claims(
        options.comparisons, on_comparison=lambda done, planned: cli.progress(f"A/A comparison {done} of {planned}")
    )
    cli.progress(f"a session of {options.budget:g} s on a ViT of about 7 ms")
    effect = self_check.smallest_effect(options.threads, options.budget)
    timing = monitor.activity()

    limits: list[Ceilings] = []
    for dtype in DTYPES:
        cli.progress(f"ceilings of {dtype}")
        copied = limits[0].copy if limits else None  # does not depend on the data type
        limits.append(ceilings(dtype, threads=options.threads, device=device, copied=copied))

    torch_threads = torch.get_num_threads()
    facts = {
        "version": str(torch.__version__),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch_threads,
        "gpu": device_of(device).facts(),
    }
    body = environment.environment(facts, threads=options.threads).body
    meter, clock, system = Meter(device), readings.clock(), readings.system()
    return Checkup(
        code=environment.code(),
        environment=body,
        torch_threads=torch_threads,
        device=device,
        allocator=host_load.allocator(),
        load=load,
        clock=clock,
        system=system,
        asleep=asleep,
        timing=timing,
        false_claims=claims,
        smallest_effect=effect,
        ceilings=limits,
        energy=meter.counter.source if meter.counter else f"not measured: {meter.reason}",
        advice=advise(body, asleep, timing, clock, system),
        seconds=time.monotonic() - start,
    )


if __name__ == "__main__":
    sys.exit(main())
