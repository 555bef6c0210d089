"""Ctrl-C as an event between two trials, so that it never cuts a record in two."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Interrupted(Exception):  # noqa: N818  # a request, no error
    """Raised between two trials, never inside a write."""


class Stop:
    """Ctrl-C as a file descriptor that becomes readable; a second one is Python's own KeyboardInterrupt."""

    def __init__(self) -> None:
        self.fd, self._set = os.pipe()
        self.asked = False

    def __call__(self, *_: object) -> None:
        self.asked = True
        os.write(self._set, b"!")
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def check(self) -> None:
        if self.asked:
            raise Interrupted

    @classmethod
    @contextmanager
    def on_interrupt(cls) -> Iterator[Stop]:
        stop = cls()
        main = threading.current_thread() is threading.main_thread()
        before = [signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)] if main else []
        try:
            yield stop
        finally:
            for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=False):
                signal.signal(number, handler)
            os.close(stop.fd)
            os.close(stop._set)
