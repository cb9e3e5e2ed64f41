"""Keeps Envoy's access log bounded: Envoy appends to one file for ever, so somebody else must move it away."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

from kiteway.envoy.admin import AdminClient, AdminError
from kiteway.ownership import open_own

MAX_BYTES = 16 * 1024 * 1024
KEPT_FILES = 4
_LOOK_SECONDS = 1.0


class AccessLog:
    """
    ``path`` and its predecessors ``path.1`` (the newest) to ``path.4``: about 5 x 16 MiB, and a second's lines more.

    All are 0600.
    """

    def __init__(self, path: Path, admin: AdminClient, *, max_bytes: int = MAX_BYTES) -> None:
        self._path = path
        self._admin = admin
        self._max_bytes = max_bytes
        self._moved = False
        self._make()

    async def run(self) -> None:
        """Watch the file until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_SECONDS)

    async def look(self) -> None:
        """Move the file away if it is full; a disk or an Envoy that does not answer is asked again next time."""
        with contextlib.suppress(OSError, AdminError):
            if not self._moved and self._path.stat().st_size > self._max_bytes:
                self._move()
            if self._moved:
                await self._admin.reopen_logs()
                self._moved = False

    def _move(self) -> None:
        for number in range(KEPT_FILES - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                self._numbered(number).replace(self._numbered(number + 1))
        self._path.replace(self._numbered(1))
        # Envoy writes to the moved file until it opens the new one.
        self._moved = True
        self._make()

    def _make(self) -> None:
        # Envoy would make it readable to all.
        with contextlib.suppress(OSError):
            os.close(open_own(self._path, os.O_WRONLY | os.O_CREAT))

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")
