"""Milvus Lite as a server, for platforms without the full Milvus (and on Linux on request).

A pure-Python Milvus behind one plaintext gRPC port on loopback: no TLS, no REST, no `/healthz`, one process. It has a part
of Milvus's calls. `LiteCluster` puts proxies with TLS and `/healthz` before it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Self

from kiteway.extras import install_package_command
from kiteway.milvus.embedded.binary import MilvusUnavailableError
from kiteway.milvus.embedded.grpc_probe import ProbeError, unary_call
from kiteway.milvus.embedded.logs import last_lines
from kiteway.milvus.embedded.ports import free_ports
from kiteway.milvus.embedded.process import ChildProcess
from kiteway.milvus.embedded.ready import LOOPBACK, connect
from kiteway.milvus.embedded.server import MilvusStartError, Progress

_PACKAGE = "milvus-lite>=3"
_FIRST_WITH_SERVER = 3  # earlier ones answer on a unix socket only
_GET_VERSION = "/milvus.proto.milvus.MilvusService/GetVersion"
_START_SECONDS = 60.0
_STOP_SECONDS = 6.0  # it gives running calls 5 s
_PAUSE_SECONDS = 0.1


class LiteMilvus:
    """Milvus Lite on a loopback port; an async context manager with `StandaloneMilvus`'s interface."""

    def __init__(self, data_dir: Path, *, port: int | None = None, on_progress: Progress = lambda _line: None) -> None:
        """Describe the server; nothing happens before `start`. `port` None takes a free one."""
        self._data_dir = data_dir.absolute()
        self._port = port
        self._on_progress = on_progress
        self._process: ChildProcess | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port where it serves.

        Raises:
            RuntimeError: it is not started.
        """
        if self._port is None:
            raise RuntimeError("Milvus Lite is not started")
        return LOOPBACK, self._port

    @property
    def pid(self) -> int:
        """The process id, which is also its process group's.

        Raises:
            RuntimeError: it is not started.
        """
        if self._process is None:
            raise RuntimeError("Milvus Lite is not started")
        return self._process.pid

    async def start(self, timeout: float = _START_SECONDS) -> Self:
        """Start it and wait until it answers, at most `timeout` seconds.

        Raises:
            MilvusUnavailableError: the package `milvus-lite` is missing or has no server command.
            MilvusStartError: it ended or did not answer in time; quotes its log.
        """
        _require_server()
        self._port = self._port or free_ports(1)[0]
        self._on_progress("starting Milvus Lite")
        console = self._data_dir / "logs" / "milvus-lite.console"
        self._process = await ChildProcess.start(
            (
                sys.executable,
                "-P",  # nothing is imported from the working directory
                "-m",
                "milvus_lite",
                "server",
                f"--data-dir={self._data_dir / 'data'}",
                f"--host={LOOPBACK}",
                f"--port={self._port}",
            ),
            env=os.environ,
            cwd=self._data_dir,
            console=console,
        )
        try:
            await self._wait_ready(self._process, timeout, console)
        except BaseException:
            await self.stop(grace=0)
            raise
        return self

    async def stop(self, grace: float = _STOP_SECONDS) -> None:
        """Stop it, by force after `grace` seconds. Idempotent."""
        if self._process is not None:
            await self._process.stop(grace, signal.SIGINT)  # the only signal on which it closes its files

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    async def _wait_ready(self, process: ChildProcess, timeout: float, console: Path) -> None:
        deadline = time.monotonic() + timeout
        while True:
            try:
                await asyncio.to_thread(self._probe)
            except (OSError, ProbeError) as error:
                if process.returncode is not None or time.monotonic() > deadline:
                    quoted = "\n  ".join(last_lines(console))
                    raise MilvusStartError(
                        f"Milvus Lite does not serve ({error}); the end of {console}:\n  {quoted}"
                    ) from None
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                return

    def _probe(self) -> None:
        host, port = self.address
        with connect(host, port, None) as sock:
            unary_call(sock, _GET_VERSION, b"", scheme="http")


def _require_server() -> None:
    try:
        version = metadata.version("milvus-lite")
    except metadata.PackageNotFoundError:
        raise MilvusUnavailableError(
            f"the package 'milvus-lite' is not installed: {install_package_command(_PACKAGE)}"
        ) from None
    if int(version.split(".")[0]) < _FIRST_WITH_SERVER:
        raise MilvusUnavailableError(
            f"milvus-lite {version} has no server command: {install_package_command(_PACKAGE)}"
        )
