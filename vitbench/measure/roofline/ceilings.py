"""Measured ceilings of this machine: peak matmul throughput, memory bandwidth and operator launch rate.

Matmul throughput is that of square matrices of the fastest size. Memory bandwidth is that of a copy between two buffers
that together exceed the last-level cache. It counts bytes read and written, as STREAM's Copy does (McCalpin 1995), but
not the processor's reads for ownership. The launch rate is measured on a ViT that computes almost nothing. Each is
timed in windows of back-to-back calls; the estimate is the mean over windows with its t interval, which makes it
comparable with latencies. A vendor's peak is higher: a ceiling here is what torch reaches at the same dtype, threads
and device.
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
from vitbench.utils.errors import UserError, first_line
from vitbench.utils.threads import torch_threads

Timer = Callable[[], float]

WINDOWS, WINDOW_S = 6, 0.1
SIZES = (256, 512, 1024, 2048, 4096, 8192)
SEARCH_S = 0.25
"""Seconds after which no further matrix size is tried."""

SMALL_VIT = ViTConfig(img_size=4, patch_size=2, in_chans=1, num_classes=2, embed_dim=8, depth=4, num_heads=2)
MIN_BUFFER, CUDA_BUFFER = 128 * 2**20, 2**30
MEMORY_SHARE = 8
"""A buffer takes at most one part in this many of the available memory."""

FREE_IF_UNKNOWN = 2**31
"""Available memory in bytes assumed for a device that does not report it."""


class NotMeasuredError(UserError):
    """A ceiling that cannot be measured here; the message completes "not measured: …"."""


@dataclass(frozen=True)
class Ceiling:
    """A rate in FLOP/s, byte/s or operators/s, one per window."""

    rates: tuple[float, ...]
    size: int  # side of the matrices, bytes of a buffer, or operators of a call
    note: str = ""

    @property
    def interval(self) -> Interval:
        """The mean over windows with its 95 % t interval."""
        return mean_interval(self.rates)


@dataclass(frozen=True)
class Ceilings:
    """The ceilings at one dtype, thread count and device; None if not measured, with the reason in ``reasons``."""

    dtype: str
    threads: int
    device: str
    matmul: Ceiling | None
    copy: Ceiling | None
    start: Ceiling | None  # operators launched per second
    tf32: bool  # whether float32 matmuls may be rounded to TF32, on CUDA
    reasons: dict[str, str]

    def record(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The values and samples of the record."""
        values = {key: asdict(self)[key] for key in ("dtype", "threads", "device", "tf32", "reasons")}
        named = {"matmul": ("flop_per_s", "FLOP/s"), "copy": ("bytes_per_s", "byte/s"), "start": ("ops_per_s", "op/s")}
        samples: dict[str, Any] = {}
        for name, (key, unit) in named.items():
            found: Ceiling | None = getattr(self, name)
            values[f"{name}_{key}"] = found and found.interval.value
            values[f"{name}_size"] = found and found.size
            if found is not None:
                samples[name] = {"unit": unit, "values": list(found.rates)}
                values |= {f"{name}_note": found.note} if found.note else {}
        return values, samples


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
    """All three ceilings, measured in two or three seconds; None, with a reason, if one cannot be measured here.

    Args:
        dtype: dtype of the matrices and of the model; the bandwidth does not depend on it.
        threads: number of torch threads.
        device: ``cpu`` or ``cuda``.
        windows: number of windows per ceiling.
        window_s: minimum seconds per window.
        copied: the memory bandwidth, if it was just measured.
        timer: returns seconds; injected by tests.
    """
    reasons: dict[str, str] = {}

    def attempt(name: str, measure: Callable[[], Ceiling]) -> Ceiling | None:
        try:
            return measure()
        except NotMeasuredError as error:
            reasons[name] = str(error)
            return None

    timing: dict[str, Any] = {"device": device, "windows": windows, "window_s": window_s, "timer": timer}
    with torch_threads(threads):
        return Ceilings(
            dtype=dtype,
            threads=threads,
            device=device,
            matmul=attempt("matmul", lambda: matmul_throughput(dtype, **timing)),
            copy=copied or attempt("copy", lambda: memory_bandwidth(**timing)),
            start=attempt("start", lambda: launch_rate(dtype, **timing)),
            tf32=bool(device == "cuda" and dtype == "float32" and torch.backends.cuda.matmul.allow_tf32),
            reasons=reasons,
        )


def matmul_throughput(
    dtype: str = "float32",
    *,
    device: str = "cpu",
    windows: int = WINDOWS,
    window_s: float = WINDOW_S,
    timer: Timer = time.perf_counter,
) -> Ceiling:
    """FLOP/s of square matmuls; a multiply-add counts as two FLOPs.

    The size is chosen first, in a quarter of a second, and then timed again, so that the choice does not bias the rate.

    Raises:
        NotMeasuredError: torch has no matmul of this dtype here, or not enough memory.
    """
    timing = _Timing(device, windows, window_s, timer)
    fastest: tuple[float, int] | None = None  # rate, side
    begin = timer()
    for side in SIZES:
        call = _product(dtype, side, device)
        seconds = min(timing.seconds(call) for _ in range(2))
        rate = 2 * side**3 / seconds
        fastest = max(fastest or (rate, side), (rate, side))
        if timer() - begin > SEARCH_S or seconds > window_s:
            break
    if fastest is None:
        raise ValueError("no size was tried")
    side = fastest[1]
    return Ceiling(timing.rates(_product(dtype, side, device), 2 * side**3), side)


def _product(dtype: str, side: int, device: str) -> Callable[[], Any]:
    """A call that multiplies two random matrices; it has run once."""
    kind, generator = getattr(torch, dtype), torch.Generator(device).manual_seed(0)
    try:
        a, b = (torch.randn(side, side, generator=generator, device=device).to(kind) for _ in range(2))
        out = a @ b
    except RuntimeError as error:
        raise NotMeasuredError(f"torch has no {dtype} matmul on {device} here: {first_line(error)}") from error
    return lambda: torch.mm(a, b, out=out)


def memory_bandwidth(
    *,
    device: str = "cpu",
    windows: int = WINDOWS,
    window_s: float = WINDOW_S,
    timer: Timer = time.perf_counter,
    buffer: int | None = None,
) -> Ceiling:
    """Bytes read and written per second by a copy between two buffers, each at least as large as the last-level cache.

    Args:
        device: ``cpu`` or ``cuda``.
        windows: number of windows.
        window_s: minimum seconds per window.
        timer: returns seconds; injected by tests.
        buffer: bytes of each buffer; None: from the size of the cache, within the available memory.

    Raises:
        NotMeasuredError: not enough memory for the buffers.
    """
    hardware = device_of(device)
    cache, free = hardware.last_level_cache(), hardware.free_memory() or FREE_IF_UNKNOWN
    wanted = CUDA_BUFFER if device == "cuda" else max(MIN_BUFFER, cache or 0)
    length = min(wanted, free // MEMORY_SHARE) if buffer is None else buffer
    try:
        source = torch.ones(length // 4, dtype=torch.float32, device=device)
        target = torch.empty_like(source)
    except RuntimeError as error:
        raise NotMeasuredError(f"not enough memory for two buffers of {length / 2**20:.0f} MiB") from error
    note = "" if cache is None or length >= cache else (
        f"the two buffers of {length / 2**20:.0f} MiB, limited by memory, may partly fit into the cache of "
        f"{cache / 2**20:.0f} MiB"
    )  # fmt: skip
    moved = 2 * source.numel() * source.element_size()
    return Ceiling(_Timing(device, windows, window_s, timer).rates(lambda: target.copy_(source), moved), length, note)


def launch_rate(
    dtype: str = "float32",
    *,
    device: str = "cpu",
    windows: int = WINDOWS,
    window_s: float = WINDOW_S,
    timer: Timer = time.perf_counter,
) -> Ceiling:
    """Operators per second of a ViT that computes almost nothing, counted as in ``traffic``.

    Raises:
        NotMeasuredError: torch lacks a kernel of this dtype here.
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
            reason = f"torch cannot run a {dtype} ViT on {device} here: {first_line(error)}"
            raise NotMeasuredError(reason) from error
        return Ceiling(_Timing(device, windows, window_s, timer).rates(lambda: model(images), ops), ops)


@dataclass(frozen=True)
class _Timing:
    """Timing of calls in windows on a device."""

    device: str
    windows: int
    window_s: float
    timer: Timer

    def seconds(self, call: Callable[[], Any]) -> float:
        """Seconds of one call."""
        self.synchronize()
        begin = self.timer()
        call()
        self.synchronize()
        return self.timer() - begin

    def rates(self, call: Callable[[], Any], work: float) -> tuple[float, ...]:
        """Work per second in each window of back-to-back calls, after one untimed call."""
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
        """Waits for the device; looked up once, because the call itself is timed."""
        return device_of(self.device).synchronize
