"""The output of the children: to rotated files, or to standard error after the child's name."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from pathlib import Path
from typing import IO

from kiteway.ownership import open_own
from kiteway.printable import printable
from kiteway.rotation import MAX_BYTES, rotate

LINE_LIMIT_BYTES = 64 * 1024
"""Longer lines are split: a child that writes no line end must not use the supervisor's memory."""


class RotatingLog:
    """
    A log file and its predecessors (`kiteway.rotation`).

    When the disk is full or gone, lines are lost and the child runs on.
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
        rotate(self._path)
        return self._open()


class PrefixedStderr:
    """Standard error, each line after the child's name."""

    def __init__(self, name: str) -> None:
        self._prefix = f"{name}: ".encode()

    def write(self, line: bytes) -> None:
        """Write ``line``."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.buffer.write(self._prefix + line)
            sys.stderr.buffer.flush()

    def close(self) -> None:
        """Leave standard error open: other children use it too."""


async def forward(pipe: IO[bytes], sink: RotatingLog | PrefixedStderr) -> None:
    """
    Copy ``pipe`` to ``sink`` line by line until its last writer has closed it.

    Lines longer than `LINE_LIMIT_BYTES` are split. Control characters are escaped: logs are read on terminals.
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
