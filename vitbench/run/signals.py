"""Requests to end a run, handled between two trials, so that none cuts a record in two."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(Exception):  # noqa: N818  # a request, not an error
    """Raised between two trials, never inside a write."""


class Stop:
    """Requests to end, with a file descriptor that becomes readable at each request.

    Ctrl-C starts no more trials. A second Ctrl-C ends the running ones too; a third one is Python's KeyboardInterrupt.
    SIGTERM (which schedulers send some seconds before SIGKILL) and SIGHUP (from a closed terminal) act like the second
    Ctrl-C. Under ``nohup``, SIGHUP stays ignored.

    Attributes:
        fd: the file descriptor; ``poll`` makes it wait for the next request.
        requested: start no more trials.
        immediate: end the running trials.
    """

    def __init__(self) -> None:
        self.fd, self._write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.requested = self.immediate = False

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        if self.immediate and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.immediate = self.requested or number != signal.SIGINT
        self.requested = True
        os.write(self._write_fd, b"!")

    def poll(self) -> bool:
        """Whether there was a request since the last call."""
        with contextlib.suppress(BlockingIOError):
            return bool(os.read(self.fd, 1000))
        return False

    def check(self) -> None:
        """Raises Interrupted if the running trials are to end."""
        if self.immediate:
            raise Interrupted

    @classmethod
    @contextmanager
    def on_interrupt(cls) -> Iterator[Stop]:
        """Handles signals in the main thread of a process; in other threads there are none."""
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
            os.close(stop._write_fd)
