"""Several proxies of one Milvus, each of which can be killed, stopped, paused and started alone."""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol, Self

from kiteway.milvus.embedded.process import ChildProcess
from kiteway.milvus.embedded.ready import MilvusEndpoint

_RESTART_SECONDS = 120.0
_STOP_SECONDS = 10.0


class Proxy(Protocol):
    """One proxy: a process with a serving port and a health port."""

    @property
    def endpoint(self) -> MilvusEndpoint:
        """Where it serves, at each start."""

    @property
    def process(self) -> ChildProcess:
        """The process of the last start. Raises RuntimeError before the first."""

    async def start(self, timeout: float) -> None:
        """Start it and wait until it serves, at most `timeout` seconds. Raises MilvusStartError."""

    async def stop(self, grace: float) -> None:
        """Send SIGTERM, wait `grace` seconds, then send SIGKILL. Idempotent."""


class ProxyCluster(ABC):
    """A Milvus with several proxies; an async context manager. Proxies are named by their index."""

    def __init__(self) -> None:
        """Have no proxy before `start`."""
        self._proxies: Sequence[Proxy] = ()

    @property
    def endpoints(self) -> tuple[MilvusEndpoint, ...]:
        """The endpoints of the serving proxies; empty before `start`."""
        return tuple(proxy.endpoint for proxy in self._proxies)

    @property
    @abstractmethod
    def pids(self) -> tuple[int, ...]:
        """The process ids of all started processes, the proxies last."""

    @abstractmethod
    async def start(self) -> Self:
        """Start all processes and wait until the proxies serve. Raises MilvusStartError."""

    @abstractmethod
    async def stop(self) -> None:
        """Stop all processes. Idempotent."""

    def pid(self, index: int) -> int:
        """Return the process id of a proxy."""
        return self._proxies[index].process.pid

    async def kill(self, index: int, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a proxy a signal; with SIGKILL, return when it is gone."""
        process = self._proxies[index].process
        process.send_signal(number)
        if number == signal.SIGKILL:
            await process.wait()

    async def stop_proxy(self, index: int, grace: float = _STOP_SECONDS) -> None:
        """Stop a proxy as an operator would: SIGTERM, `grace` seconds, SIGKILL."""
        await self._proxies[index].stop(grace)

    def pause(self, index: int) -> None:
        """Stop a proxy's execution (SIGSTOP): its connections stay open and silent."""
        self._proxies[index].process.send_signal(signal.SIGSTOP)

    def resume(self, index: int) -> None:
        """Resume a paused proxy (SIGCONT)."""
        self._proxies[index].process.send_signal(signal.SIGCONT)

    async def restart(self, index: int, timeout: float = _RESTART_SECONDS) -> None:
        """Start a proxy again on its old ports, stopped first if it runs; return when it serves.

        Raises:
            MilvusStartError: it ended or did not serve within `timeout` seconds.
        """
        await self.stop_proxy(index)
        await self._proxies[index].start(timeout)

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()
