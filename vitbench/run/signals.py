"""Requests to end, as events between two trials, so that none ever cuts a record in two."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(Exception):  # noqa: N818  # a request, no error
    """Raised between two trials, never inside a write."""


class Stop:
    """Requests to end, behind a file descriptor that becomes readable with each.

    Ctrl-C: begin nothing more; a second one: end what runs too; a third is Python's own KeyboardInterrupt. SIGTERM, as
    schedulers send it some seconds before SIGKILL, and SIGHUP, of a terminal that was closed, are like the second one.
    Under ``nohup`` SIGHUP stays ignored.

    Attributes:
        fd: the descriptor; ``heard`` makes it wait for the next request.
        asked: begin nothing more.
        now: end what runs.
    """

    def __init__(self) -> None:
        self.fd, self._set = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.asked = self.now = False

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        if self.now and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.now = self.asked or number != signal.SIGINT
        self.asked = True
        os.write(self._set, b"!")

    def heard(self) -> bool:
        """Whether there was a request since the last call."""
        with contextlib.suppress(BlockingIOError):
            return bool(os.read(self.fd, 1000))
        return False

    def check(self) -> None:
        """Raises Interrupted where what runs is to be ended."""
        if self.now:
            raise Interrupted

    @classmethod
    @contextmanager
    def on_interrupt(cls) -> Iterator[Stop]:
        """Listens, in the main thread of a process; elsewhere nothing can be heard."""
        stop = cls()
        main = threading.current_thread() is threading.main_thread()
        numbers = [signal.SIGINT, signal.SIGTERM] if main else []
        if main and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            numbers.append(signal.SIGHUP)
        before = {number: signal.signal(number, stop) for number in numbers}
        try:
            yield stop
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(stop.fd)
            os.close(stop._set)
