"""Milvus Lite behind several proxies: what a client of a Milvus cluster meets, on every platform."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Protocol, Self

from kiteway.milvus.embedded.config import TLSFiles
from kiteway.milvus.embedded.logs import last_lines
from kiteway.milvus.embedded.ports import free_ports
from kiteway.milvus.embedded.process import ChildProcess
from kiteway.milvus.embedded.proxies import ProxyCluster
from kiteway.milvus.embedded.ready import LOOPBACK, MilvusEndpoint, NotServingError, wait_serving
from kiteway.milvus.embedded.server import MilvusStartError, Progress, check_key_pair

_START_SECONDS = 60.0
_STOP_SECONDS = 1.0


class Store(Protocol):
    """A Milvus Lite in a process of its own; `LiteMilvus` is one."""

    @property
    def address(self) -> tuple[str, int]:
        """Host and port on loopback, plaintext."""

    @property
    def pid(self) -> int:
        """The process id."""

    async def start(self) -> object:
        """Start it and wait until it answers."""

    async def stop(self) -> None:
        """Stop it. Idempotent."""


class LiteCluster(ProxyCluster):
    """N proxies in front of one Milvus Lite; an async context manager. Each proxy is a separate process on loopback."""

    def __init__(
        self,
        data_dir: Path,
        store: Store,
        *,
        proxies: int = 1,
        tls: TLSFiles | None = None,
        on_progress: Progress = lambda _line: None,
    ) -> None:
        """Describe the cluster; nothing happens before `start`.

        Args:
            data_dir: for the logs of the proxies.
            store: the Milvus Lite; this cluster starts and stops it.
            proxies: how many.
            tls: the proxies' certificate, without client certificates; None for plaintext.
            on_progress: called at each step.
        """
        super().__init__()
        self._data_dir = data_dir.absolute()
        self._store = store
        self._count = proxies
        self._tls = tls
        self._on_progress = on_progress

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids of all started processes: store, proxies."""
        return (self._store.pid, *(proxy.process.pid for proxy in self._proxies))

    async def start(self, timeout: float = _START_SECONDS) -> Self:
        """Start the store and all proxies.

        Raises:
            MilvusUnavailableError: Milvus Lite is not installed.
            MilvusStartError: the certificate cannot be used, or a process ended or did not serve in time.
        """
        if self._tls is not None:
            check_key_pair(self._tls)
        try:
            await self._store.start()
            self._on_progress(f"starting {self._count} proxies")
            ports = free_ports(2 * self._count, taken=[self._store.address[1]])
            self._proxies = tuple(
                _Proxy(
                    MilvusEndpoint(LOOPBACK, ports[2 * index], ports[2 * index + 1], f"proxy-{index}"),
                    self._store.address[1],
                    self._data_dir,
                    self._tls,
                )
                for index in range(self._count)
            )
            await asyncio.gather(*(proxy.start(timeout) for proxy in self._proxies))
        except BaseException:
            await self.stop()
            raise
        return self

    async def stop(self, grace: float = _STOP_SECONDS) -> None:
        """Stop everything, the proxies by force after `grace` seconds; no process is left. Idempotent."""
        await asyncio.gather(*(proxy.stop(grace) for proxy in self._proxies))
        await self._store.stop()


class _Proxy:
    """One process of `lite_proxy`."""

    def __init__(self, endpoint: MilvusEndpoint, store_port: int, home: Path, tls: TLSFiles | None) -> None:
        self.endpoint = endpoint
        self._store_port = store_port
        self._home = home
        self._tls = tls
        self._process: ChildProcess | None = None

    @property
    def process(self) -> ChildProcess:
        """The running process. Raises RuntimeError before the first start."""
        if self._process is None:
            raise RuntimeError(f"{self.endpoint.name} of Milvus Lite is not started")
        return self._process

    async def start(self, timeout: float) -> None:
        """Start it and wait until it serves. Raises MilvusStartError."""
        endpoint, console = self.endpoint, self._home / "logs" / f"{self.endpoint.name}.console"
        ports = (self._store_port, endpoint.port, endpoint.health_port)
        files = (self._tls.cert, self._tls.key) if self._tls else ()
        self._process = await ChildProcess.start(
            (
                sys.executable,
                "-P",  # nothing is imported from the working directory
                "-m",
                "kiteway.milvus.embedded.lite_proxy",
                *map(str, (*ports, *files)),
            ),
            env=os.environ,
            cwd=self._home,
            console=console,
        )
        try:
            await wait_serving(self._process, endpoint, tls=self._tls, netns=None, timeout=timeout)
        except NotServingError as error:
            await self.stop(grace=0)
            quoted = "\n  ".join(last_lines(console))
            raise MilvusStartError(
                f"{endpoint.name} of Milvus Lite {error}; the end of {console}:\n  {quoted}"
            ) from None
        except BaseException:
            await self.stop(grace=0)
            raise

    async def stop(self, grace: float) -> None:
        """Send SIGTERM, wait `grace` seconds, then send SIGKILL. Idempotent."""
        if self._process is not None:
            await self._process.stop(grace, signal.SIGTERM)
