"""Milvus Lite 2.5.1: the C++ core of Milvus 2.5 as one program, with 23 of the rpcs."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Self

from kiteway.milvus.embedded.ports import free_ports
from kiteway.milvus.embedded.process import ChildProcess
from kiteway.milvus.embedded.ready import wait_listening

PROGRAM = Path(__file__).resolve().parents[2] / ".tools/milvus-lite/2.5.1/milvus_lite/lib/milvus"
"""Installed by ``make test-milvus-lite``."""

_START_SECONDS = 30.0


class OldLite:
    """A store of `LiteCluster`."""

    def __init__(self, folder: Path) -> None:
        """Describe it; ``folder`` is for its data and must exist."""
        self._folder = folder
        self._port = 0
        self._process: ChildProcess | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return "127.0.0.1", self._port

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None, "not started"
        return self._process.pid

    async def start(self) -> Self:
        """Start it and wait until it listens."""
        self._port = free_ports(1)[0]
        # As milvus_lite/server.py of the package starts it: the file, the address, the level of the log.
        self._process = await ChildProcess.start(
            # By env, as the libraries of the package are too old for the Python that starts it.
            (
                "env",
                f"LD_LIBRARY_PATH={PROGRAM.parent}",
                str(PROGRAM),
                str(self._folder / "milvus.db"),
                f"127.0.0.1:{self._port}",
                "ERROR",
            ),
            env=os.environ,
            cwd=self._folder,
            console=self._folder / "milvus.console",
        )
        await wait_listening(self._process, self._port, None, _START_SECONDS)
        return self

    async def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            await self._process.stop(2, signal.SIGTERM)
