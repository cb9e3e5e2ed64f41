"""A whole Milvus in one process."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Self

from kiteway.milvus.embedded.binary import find_milvus_binary
from kiteway.milvus.embedded.config import (
    BackendPorts,
    ProxyPorts,
    TLSFiles,
    Tuning,
    backend_settings,
    common_settings,
    proxy_settings,
    rocksmq_settings,
    write_config,
    write_etcd_config,
)
from kiteway.milvus.embedded.ports import free_ports, is_free
from kiteway.milvus.embedded.ready import LOOPBACK, MilvusEndpoint
from kiteway.milvus.embedded.server import MilvusServer, MilvusStartError, Progress
from kiteway.netns import NetworkNamespace

_PORTS = len(BackendPorts.__dataclass_fields__) + 1
_START_SECONDS = 120.0
# Milvus 2.3.5 standalone stops its coordinators and then waits for them for ever, so a longer grace time does not help.
_STOP_SECONDS = 1.0


class StandaloneMilvus:
    """Milvus standalone with embedded etcd and local storage; an async context manager.

    It listens on every address of its network, whatever its configuration says: give it a
    network namespace, or tell the user.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int | None = None,
        health_port: int | None = None,
        rest_port: int | None = None,
        tls: TLSFiles | None = None,
        netns: NetworkNamespace | None = None,
        tuning: Tuning | None = None,
        on_progress: Progress = lambda _line: None,
    ) -> None:
        """Describe the server; nothing happens before `start`.

        Args:
            data_dir: the directory for everything it writes; created if missing, not removed by `stop`.
            port: serving port; None for a free one.
            health_port: port of `/healthz` and metrics; None for a free one.
            rest_port: port of REST; None for the serving port, where Milvus has it without TLS only.
            tls: the serving port's certificate; None for plaintext.
            netns: the network namespace in which it listens; None for this process's own.
            tuning: session and shutdown times.
            on_progress: called at each step.
        """
        self._data_dir = data_dir.absolute()
        self._port = port
        self._health_port = health_port
        self._rest_port = rest_port
        self._tls = tls
        self._netns = netns
        self._tuning = tuning or Tuning()
        self._on_progress = on_progress
        self._server: MilvusServer | None = None

    @property
    def endpoint(self) -> MilvusEndpoint:
        """Where it serves.

        Raises:
            RuntimeError: it is not started.
        """
        return self._started.endpoint

    @property
    def pid(self) -> int:
        """The process id, which is also its process group's.

        Raises:
            RuntimeError: it is not started.
        """
        return self._started.process.pid

    async def start(self, timeout: float = _START_SECONDS) -> Self:
        """Start it and wait until it serves, at most `timeout` seconds.

        Raises:
            MilvusUnavailableError: the package is missing.
            MilvusStartError: a port is taken, the certificate cannot be used, or it ended or did not serve in
                time, which quotes its logs.
            OSError: the data or cache directory cannot be written.
        """
        binary = await asyncio.to_thread(find_milvus_binary, self._on_progress)
        endpoint, proxy_ports, backend_ports = self._choose_ports()
        write_etcd_config(self._data_dir, backend_ports)
        write_config(
            self._data_dir,
            binary,
            common_settings(self._data_dir, self._data_dir / "storage", self._tuning)
            | proxy_settings(proxy_ports, self._tls, self._rest_port)
            | backend_settings(backend_ports, self._data_dir)
            | rocksmq_settings(self._data_dir),
        )
        self._server = MilvusServer(
            binary,
            "standalone",
            endpoint,
            home=self._data_dir,
            tls=self._tls,
            netns=self._netns,
        )
        self._on_progress("starting Milvus")
        await self._server.start(timeout)
        return self

    async def stop(self, grace: float = _STOP_SECONDS) -> None:
        """Stop it, by force after `grace` seconds; no process or socket is left. Idempotent."""
        if self._server is not None:
            await self._server.stop(grace)

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    @property
    def _started(self) -> MilvusServer:
        if self._server is None:
            raise RuntimeError("the embedded Milvus is not started")
        return self._server

    def _choose_ports(self) -> tuple[MilvusEndpoint, ProxyPorts, BackendPorts]:
        given = [port for port in (self._port, self._health_port, self._rest_port) if port is not None]

        def choose() -> tuple[int, ...]:
            # If the port is taken, Milvus still starts, but serves no client.
            for port in given:
                if not is_free(port):
                    raise MilvusStartError(f"port {port} is taken: choose another, or stop what listens on it")
            return free_ports(_PORTS + 2, taken=given)

        serving, health, internal, *backend = choose() if self._netns is None else self._netns.call(choose)
        serving, health = self._port or serving, self._health_port or health
        endpoint = MilvusEndpoint(LOOPBACK, serving, health, "standalone")
        return endpoint, ProxyPorts(serving, internal), BackendPorts(*backend)
