"""Rotates Envoy's access log: Envoy itself appends to one file without a limit."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

from kiteway.envoy.admin import AdminClient, AdminError
from kiteway.ownership import open_own
from kiteway.rotation import MAX_BYTES, rotate

_LOOK_SECONDS = 1.0


class AccessLog:
    """
    The access log and its predecessors (`kiteway.rotation`), all 0600.

    A file can exceed the size of a rotation by what Envoy writes in a second.
    """

    def __init__(self, path: Path, admin: AdminClient, *, max_bytes: int = MAX_BYTES) -> None:
        self._path = path
        self._admin = admin
        self._max_bytes = max_bytes
        self._moved = False
        self._make()

    async def run(self) -> None:
        """Check the size once a second until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_SECONDS)

    async def look(self) -> None:
        """Rotate the file when it is full; after an error of the disk or of Envoy the next check tries again."""
        with contextlib.suppress(OSError, AdminError):
            if not self._moved and self._path.stat().st_size > self._max_bytes:
                self._move()
            if self._moved:
                await self._admin.reopen_logs()
                self._moved = False

    def _move(self) -> None:
        rotate(self._path)
        # Envoy writes to the renamed file until it opens the new one.
        self._moved = True
        self._make()

    def _make(self) -> None:
        # Envoy would create it with mode 0644.
        with contextlib.suppress(OSError):
            os.close(open_own(self._path, os.O_WRONLY | os.O_CREAT))
