"""A Milvus cluster with several proxies on this machine."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Self

from kiteway.milvus.embedded.binary import MilvusBinary, find_milvus_binary
from kiteway.milvus.embedded.broker import link_librdkafka, start_broker
from kiteway.milvus.embedded.config import (
    BackendPorts,
    ProxyPorts,
    Settings,
    TLSFiles,
    Tuning,
    backend_settings,
    common_settings,
    kafka_settings,
    member_settings,
    proxy_settings,
    write_config,
    write_etcd_config,
)
from kiteway.milvus.embedded.logs import last_lines
from kiteway.milvus.embedded.ports import free_ports
from kiteway.milvus.embedded.process import ChildProcess
from kiteway.milvus.embedded.proxies import ProxyCluster
from kiteway.milvus.embedded.ready import LOOPBACK, MilvusEndpoint
from kiteway.milvus.embedded.server import MilvusServer, MilvusStartError, Progress
from kiteway.netns import NetworkNamespace

_START_SECONDS = 120.0
_STOP_SECONDS = 1.0
_PORTS_PER_PROXY = 3
_BACKEND_PORTS = len(BackendPorts.__dataclass_fields__)


class MilvusCluster(ProxyCluster):
    """N serving proxies, one backend process and a message broker; an async context manager.

    The backend (coordinators, nodes, etcd) has its own proxy that no client uses, so a test can kill each proxy in
    `endpoints` alone. Proxies are named by their index. The cluster starts without data, because the broker stores its
    messages in memory only.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        proxies: int,
        tls: TLSFiles | None = None,
        netns: NetworkNamespace | None = None,
        tuning: Tuning | None = None,
        on_progress: Progress = lambda _line: None,
    ) -> None:
        """Describe the cluster; nothing happens before `start`. See `StandaloneMilvus` for the arguments.

        Raises:
            ValueError: fewer than one proxy, or `data_dir` is not empty.
        """
        super().__init__()
        if proxies < 1:
            raise ValueError(f"a cluster needs at least one proxy, not {proxies}")
        self._data_dir = data_dir.absolute()
        if self._data_dir.exists() and any(self._data_dir.iterdir()):
            raise ValueError(
                f"{self._data_dir} is not empty: the cluster's broker stores messages in memory only, so old data cannot be used"
            )
        self._tls = tls
        self._netns = netns
        self._tuning = tuning or Tuning()
        self._on_progress = on_progress
        self._count = proxies
        self._broker: ChildProcess | None = None
        self._backend: MilvusServer | None = None

    @property
    def broker(self) -> ChildProcess:
        """The message broker, for fault injection; its data is lost when it ends.

        Raises:
            RuntimeError: the cluster is not started.
        """
        if self._broker is None:
            raise RuntimeError("the embedded Milvus cluster is not started")
        return self._broker

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids of all started processes: broker, backend, proxies."""
        backend = () if self._backend is None else (self._backend.process.pid,)
        return (self.broker.pid, *backend, *(proxy.process.pid for proxy in self._proxies))

    async def start(self, timeout: float = _START_SECONDS) -> Self:
        """Start all processes and wait until rows written through one proxy are found through every proxy.

        Raises:
            MilvusUnavailableError: a package of the extra `cluster` is missing.
            MilvusStartError: a process ended or did not serve in time; quotes its logs.
            OSError: the data or cache directory cannot be written.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._start(timeout)
        except TimeoutError:
            await self.stop()
            raise MilvusStartError(
                f"the Milvus cluster does not work after {timeout:g} s; its logs are in {self._data_dir}"
            ) from None
        except BaseException:
            await self.stop()
            raise
        return self

    async def stop(self, grace: float = _STOP_SECONDS) -> None:
        """Stop everything, by force after `grace` seconds each; no process or socket is left. Idempotent."""
        await asyncio.gather(*(proxy.stop(grace) for proxy in self._proxies))
        if self._backend is not None:
            await self._backend.stop(grace)
        if self._broker is not None:
            await self._broker.stop(grace)

    async def _start(self, timeout: float) -> None:
        binary = await asyncio.to_thread(find_milvus_binary, self._on_progress)
        link_librdkafka(self._libraries)
        broker_port, *ports = self._free_ports(1 + _BACKEND_PORTS + _PORTS_PER_PROXY * (self._count + 1))
        backend_ports = BackendPorts(*ports[:_BACKEND_PORTS])
        trios = [ports[at : at + _PORTS_PER_PROXY] for at in range(_BACKEND_PORTS, len(ports), _PORTS_PER_PROXY)]

        self._on_progress("starting the message broker")
        self._broker = await start_broker(self._data_dir / "broker", broker_port, self._netns)

        self._on_progress("starting the Milvus backend")
        home = self._data_dir / "backend"
        write_etcd_config(home, backend_ports)
        queue = kafka_settings(broker_port)
        self._backend = self._server(
            binary,
            role="standalone",
            name="backend",
            ports=trios[0],
            tls=None,
            settings=queue | backend_settings(backend_ports, home),
        )
        await self._backend.start(timeout)

        self._on_progress(f"starting {self._count} Milvus proxies")
        member = queue | member_settings(backend_ports.etcd_client)
        self._proxies = tuple(
            self._server(binary, role="proxy", name=f"proxy-{index}", ports=trio, tls=self._tls, settings=member)
            for index, trio in enumerate(trios[1:])
        )
        for proxy in self._proxies:
            await proxy.start(timeout)

        self._on_progress("checking the cluster: insert, and Strong search through every proxy")
        await self._check()

    @property
    def _libraries(self) -> Path:
        return self._data_dir / "lib"

    def _free_ports(self, count: int) -> tuple[int, ...]:
        return free_ports(count) if self._netns is None else self._netns.call(lambda: free_ports(count))

    def _server(
        self,
        binary: MilvusBinary,
        *,
        role: str,
        name: str,
        ports: list[int],
        tls: TLSFiles | None,
        settings: Settings,
    ) -> MilvusServer:
        serving, internal, health = ports
        home = self._data_dir / name
        write_config(
            home,
            binary,
            common_settings(home, self._data_dir / "storage", self._tuning)
            | proxy_settings(ProxyPorts(serving, internal), tls)
            | settings,
        )
        return MilvusServer(
            binary,
            role,
            MilvusEndpoint(LOOPBACK, serving, health, name),
            home=home,
            tls=tls,
            netns=self._netns,
            first_libraries=self._libraries,
        )

    async def _check(self) -> None:
        console = self._data_dir / "gate.console"
        gate = await ChildProcess.start(
            (
                sys.executable,
                "-P",  # nothing is imported from the working directory
                "-m",
                "kiteway.milvus.embedded.gate",
                str(self._tls.cert) if self._tls else "",
                *(str(endpoint.port) for endpoint in self.endpoints),
            ),
            env=os.environ,
            cwd=self._data_dir,
            console=console,
            netns=self._netns,
        )
        try:
            status = await gate.wait()
        finally:
            await gate.stop(grace=0)
        if status != 0:
            quoted = "\n  ".join(last_lines(console))
            raise MilvusStartError(f"the Milvus cluster is up but does not work:\n  {quoted}")
