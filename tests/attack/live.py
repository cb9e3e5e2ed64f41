"""Requests ``/live`` or ``/ready`` all the time, as a kubelet does, each time on a new connection."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from typing import Self

_PAUSE_SECONDS = 0.1
_TIMEOUT_SECONDS = 10.0


class Live(threading.Thread):
    """
    The probe; a context manager.

    Attributes:
        slowest: the seconds of the slowest answer of 200; of none, what was waited for it.
        refused: how many answers were not 200, or none.
    """

    def __init__(self, port: int, path: str = "/live") -> None:
        super().__init__(daemon=True)
        self.slowest = 0.0
        self.refused = 0
        self._port = port
        self._path = path
        self._done = threading.Event()
        self._counts = threading.Event()
        self._counts.set()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self.join()

    def pause(self) -> None:
        """Count nothing from now on: the control plane is about to be killed."""
        self._counts.clear()

    def run(self) -> None:
        """Ask until the end."""
        while not self._done.wait(_PAUSE_SECONDS):
            begin = time.monotonic()
            good = self._ask()
            # One that is not answered at the end has lasted until then.
            if self._counts.is_set():
                self.refused += not good
                self.slowest = max(self.slowest, time.monotonic() - begin)

    def _ask(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT_SECONDS)
        with contextlib.closing(connection):
            try:
                connection.request("GET", self._path)
                return connection.getresponse().status == http.client.OK
            except (OSError, http.client.HTTPException):
                return False
