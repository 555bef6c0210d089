"""What this machine can do at most, as measured here and now: arithmetic, copying, and starting an operation.

The matrix-product ceiling is the rate of a square product, of the size that goes fastest; the bandwidth that of copying
between two buffers that the last-level cache does not hold together, read and written bytes counted (as STREAM's
Copy does, McCalpin 1995; what a processor reads before it overwrites a line is not). Starting an operation is timed on
a ViT so small that it computes next to nothing. Each is timed in windows of back-to-back calls; the estimate is the
mean over windows with its t interval, so that it means the same as a latency measured beside it. A vendor's peak is
higher: a ceiling here is what torch reaches at the same dtype, threads and device.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch

from vitbench.declare.sizes import as_pair
from vitbench.declare.vit import ViTConfig
from vitbench.devices import device_of
from vitbench.measure.roofline.memory_traffic import traffic
from vitbench.models import build
from vitbench.stats.estimates import Interval, mean_interval
from vitbench.utils.errors import UserError
from vitbench.utils.threads import torch_threads

Timer = Callable[[], float]

WINDOWS, WINDOW_S = 6, 0.1
SIZES = (256, 512, 1024, 2048, 4096, 8192)
SEARCH_S = 0.25
"""Seconds in which a matrix product's size is chosen: none is tried after that."""

SMALL_VIT = ViTConfig(img_size=4, patch_size=2, in_chans=1, num_classes=2, embed_dim=8, depth=4, num_heads=2)
LEAST_BUFFER, CUDA_BUFFER = 128 * 2**20, 2**30
MEMORY_SHARE = 8
"""A buffer takes at most this part of the memory that is available."""

FREE_IF_UNKNOWN = 2**31
"""Bytes assumed to be available on a device that does not report them."""


class NotMeasuredError(UserError):
    """A ceiling that cannot be measured here; the message is the reason, fit to stand behind "not measured"."""


@dataclass(frozen=True)
class Ceiling:
    """A rate, one a window, in FLOP/s, byte/s, or operations/s."""

    rates: tuple[float, ...]
    size: int  # side of the matrices, bytes of a buffer, operations of a call
    note: str = ""

    @property
    def interval(self) -> Interval:
        """The mean over windows with its 95 % t interval."""
        return mean_interval(self.rates)


@dataclass(frozen=True)
class Ceilings:
    """All three at one dtype, thread count and device; None: not measured, ``reasons`` says why."""

    dtype: str
    threads: int
    device: str
    matmul: Ceiling | None
    copy: Ceiling | None
    start: Ceiling | None  # operations a second, of a model that computes nothing
    tf32: bool  # whether float32 products may be rounded to TF32, on CUDA
    reasons: dict[str, str]

    def record(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Values and samples of a record."""
        kept = {key: asdict(self)[key] for key in ("dtype", "threads", "device", "tf32", "reasons")}
        named = {"matmul": ("flop_per_s", "FLOP/s"), "copy": ("bytes_per_s", "byte/s"), "start": ("ops_per_s", "op/s")}
        samples: dict[str, Any] = {}
        for name, (key, unit) in named.items():
            found: Ceiling | None = getattr(self, name)
            kept[f"{name}_{key}"] = found and found.interval.value
            kept[f"{name}_size"] = found and found.size
            if found is not None:
                samples[name] = {"unit": unit, "values": list(found.rates)}
                kept |= {f"{name}_note": found.note} if found.note else {}
        return kept, samples


def ceilings(
    dtype: str = "float32",
    *,
    threads: int = 1,
    device: str = "cpu",
    windows: int = WINDOWS,
    window_s: float = WINDOW_S,
    copied: Ceiling | None = None,
    timer: Timer = time.perf_counter,
) -> Ceilings:
    """Measures all three, in two or three seconds; what cannot be measured here is None, with a reason.

    Args:
        dtype: of the matrices and of the model; copying does not depend on it.
        threads: of torch.
        device: cpu or cuda.
        windows: of each.
        window_s: seconds of each, at least.
        copied: the copy bandwidth, where it was measured a moment ago.
        timer: seconds; injected by tests.
    """
    reasons: dict[str, str] = {}

    def tried(name: str, measure: Callable[[], Ceiling]) -> Ceiling | None:
        try:
            return measure()
        except NotMeasuredError as error:
            reasons[name] = str(error)
            return None

    how: dict[str, Any] = {"device": device, "windows": windows, "window_s": window_s, "timer": timer}
    with torch_threads(threads):
        return Ceilings(
            dtype=dtype,
            threads=threads,
            device=device,
            matmul=tried("matmul", lambda: matmul(dtype, **how)),
            copy=copied or tried("copy", lambda: copy(**how)),
            start=tried("start", lambda: start(dtype, **how)),
            tf32=bool(device == "cuda" and dtype == "float32" and torch.backends.cuda.matmul.allow_tf32),
            reasons=reasons,
        )


def matmul(
    dtype: str = "float32",
    *,
    device: str = "cpu",
    windows: int = WINDOWS,
    window_s: float = WINDOW_S,
    timer: Timer = time.perf_counter,
) -> Ceiling:
    """FLOP/s of square matrix products; a multiply-add counts as two.

    The size is chosen first, in a quarter of a second, and then timed afresh, so that the choice flatters nothing.

    Raises:
        NotMeasuredError: torch has no such product here, or no memory for it.
    """
    how = _How(device, windows, window_s, timer)
    found: tuple[float, int] | None = None
    begin = timer()
    for side in SIZES:
        call = _product(dtype, side, device)
        seconds = min(how.seconds(call) for _ in range(2))
        rate = 2 * side**3 / seconds
        found = max(found or (rate, side), (rate, side))
        if timer() - begin > SEARCH_S or seconds > window_s:
            break
    if found is None:
        raise ValueError("no size was tried")
    side = found[1]
    return Ceiling(how.rates(_product(dtype, side, device), 2 * side**3), side)


def _product(dtype: str, side: int, device: str) -> Callable[[], Any]:
    """A product of two random matrices, run once."""
    kind, generator = getattr(torch, dtype), torch.Generator(device).manual_seed(0)
    try:
        a, b = (torch.randn(side, side, generator=generator, device=device).to(kind) for _ in range(2))
        out = a @ b
    except RuntimeError as error:
        said = str(error).strip().splitlines()[0]
        raise NotMeasuredError(f"torch has no {dtype} matrix product on {device} here: {said}") from error
    return lambda: torch.mm(a, b, out=out)


def copy(
    *,
    device: str = "cpu",
    windows: int = WINDOWS,
    window_s: float = WINDOW_S,
    timer: Timer = time.perf_counter,
    buffer: int | None = None,
) -> Ceiling:
    """Bytes a second, read and written, of copying one buffer to another; one is as large as the last-level cache.

    Args:
        device: cpu or cuda.
        windows: repeated.
        window_s: seconds of each, at least.
        timer: seconds; injected by tests.
        buffer: bytes of each of the two; by default what the machine's cache asks for and its memory allows.
    """
    place = device_of(device)
    cache, free = place.last_level_cache(), place.free_memory() or FREE_IF_UNKNOWN
    wanted = CUDA_BUFFER if device == "cuda" else max(LEAST_BUFFER, cache or 0)
    length = min(wanted, free // MEMORY_SHARE) if buffer is None else buffer
    try:
        source = torch.ones(length // 4, dtype=torch.float32, device=device)
        target = torch.empty_like(source)
    except RuntimeError as error:
        raise NotMeasuredError(f"there is no memory for two buffers of {length / 2**20:.0f} MiB") from error
    note = "" if cache is None or length >= cache else (
        f"two buffers of {length / 2**20:.0f} MiB, all that memory allowed, may lie in part in the cache of "
        f"{cache / 2**20:.0f} MiB"
    )  # fmt: skip
    moved = 2 * source.numel() * source.element_size()
    return Ceiling(_How(device, windows, window_s, timer).rates(lambda: target.copy_(source), moved), length, note)


def start(
    dtype: str = "float32",
    *,
    device: str = "cpu",
    windows: int = WINDOWS,
    window_s: float = WINDOW_S,
    timer: Timer = time.perf_counter,
) -> Ceiling:
    """Operations a second of a ViT that computes next to nothing, counted as ``traffic`` counts them.

    Raises:
        NotMeasuredError: torch has no kernel of this dtype for one of its operations here.
    """
    kind = getattr(torch, dtype)
    with torch.random.fork_rng(devices=()):
        model = build(SMALL_VIT).to(device, kind).eval()
    ops = traffic(SMALL_VIT).ops
    images = torch.zeros((1, SMALL_VIT.in_chans, *as_pair(SMALL_VIT.img_size)), dtype=kind, device=device)
    with torch.inference_mode():
        try:
            model(images)
        except RuntimeError as error:
            said = str(error).strip().splitlines()[0]
            raise NotMeasuredError(f"torch cannot run a {dtype} ViT on {device} here: {said}") from error
        return Ceiling(_How(device, windows, window_s, timer).rates(lambda: model(images), ops), ops)


@dataclass(frozen=True)
class _How:
    """Where, how often and how long."""

    device: str
    windows: int
    window_s: float
    timer: Timer

    def seconds(self, call: Callable[[], Any]) -> float:
        """Of one call."""
        self.synchronize()
        begin = self.timer()
        call()
        self.synchronize()
        return self.timer() - begin

    def rates(self, call: Callable[[], Any], work: float) -> tuple[float, ...]:
        """Work a second in each window of back-to-back calls, after one call that is not counted."""
        found = []
        call()
        for _ in range(self.windows):
            calls = 0
            self.synchronize()
            begin = self.timer()
            while self.timer() - begin < self.window_s:
                call()
                calls += 1
            self.synchronize()
            found.append(work * calls / (self.timer() - begin))
        return tuple(found)

    @functools.cached_property
    def synchronize(self) -> Callable[[], None]:
        """Waits for the device; looked up once, because it is called between two readings of the clock."""
        return device_of(self.device).synchronize
