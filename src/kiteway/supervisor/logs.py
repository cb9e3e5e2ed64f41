"""The children's output: to rotated files, or to stderr with the child's name."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from pathlib import Path
from typing import IO

from kiteway.ownership import open_own
from kiteway.printable import printable

MAX_BYTES = 16 * 1024 * 1024
KEPT_FILES = 4
# A child that writes no newline must not grow our memory.
LINE_LIMIT_BYTES = 64 * 1024


class RotatingLog:
    """
    ``path`` and its predecessors ``path.1`` (the newest) to ``path.4``: never more than 5 x 16 MiB.

    A full or vanished disk loses lines, not the child.
    """

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._file: IO[bytes] | None = None

    def write(self, line: bytes) -> None:
        """Append ``line``."""
        with contextlib.suppress(OSError):
            file = self._file or self._open()
            if file.tell() and file.tell() + len(line) > self._max_bytes:
                file = self._rotate()
            file.write(line)

    def close(self) -> None:
        """Close the file."""
        if self._file:
            self._file.close()
            self._file = None

    def _open(self) -> IO[bytes]:
        descriptor = open_own(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._file = os.fdopen(descriptor, "ab", buffering=0)
        self._file.seek(0, os.SEEK_END)
        return self._file

    def _rotate(self) -> IO[bytes]:
        self.close()
        for number in range(KEPT_FILES - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                self._numbered(number).replace(self._numbered(number + 1))
        self._path.replace(self._numbered(1))
        return self._open()

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


class PrefixedStderr:
    """Our own stderr, each line after the child's name."""

    def __init__(self, name: str) -> None:
        self._prefix = f"{name}: ".encode()

    def write(self, line: bytes) -> None:
        """Write ``line``."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.buffer.write(self._prefix + line)
            sys.stderr.buffer.flush()

    def close(self) -> None:
        """Leave stderr open: it is not ours alone."""


async def forward(pipe: IO[bytes], sink: RotatingLog | PrefixedStderr) -> None:
    """
    Copy ``pipe`` to ``sink`` line by line until its last writer is gone.

    Longer lines are split. What a terminal would obey is escaped: whoever reads a log shows it on one.
    """
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LINE_LIMIT_BYTES)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    try:
        while True:
            try:
                line = await reader.readuntil()
            except asyncio.IncompleteReadError as end:
                if end.partial:
                    sink.write(_shown(end.partial))
                return
            except asyncio.LimitOverrunError as overrun:
                line = await reader.readexactly(min(overrun.consumed, LINE_LIMIT_BYTES))
            sink.write(_shown(line))
    finally:
        transport.close()


def _shown(line: bytes) -> bytes:
    return printable(line.removesuffix(b"\n").decode(errors="backslashreplace")).encode() + b"\n"
