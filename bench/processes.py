"""Processes that a bench starts and always ends."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kiteway.envoy.descriptors import Descriptors

_STOP_SECONDS = 15.0


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def fitting_endpoints(pools: int, most: int) -> int:
    """Return how many endpoints each of ``pools`` can have, up to ``most``, with the files that a process may open here."""
    room = Descriptors.of_this_process()
    return most if room is None else min(most, room.endpoints // pools)


@contextmanager
def running(command: Sequence[object], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``command`` with its output in ``log``; SIGTERM, then SIGKILL, when the block is left."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # The kernel schedules by session (autogroup). Kiteway's Envoy has its own session, so every contestant gets
            # one.
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def tail(log: Path, characters: int = 600) -> str:
    """Return the end of a log, for an error message."""
    return log.read_text(errors="replace").strip()[-characters:] if log.exists() else ""
