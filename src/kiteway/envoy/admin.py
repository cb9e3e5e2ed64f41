"""Envoy's admin API over its unix socket."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx2
import msgspec

from kiteway.envoy.clusters import ClusterStatus, read_clusters
from kiteway.envoy.statistics import CONNECTIONS
from kiteway.report.status import EnvoyState

_TIMEOUT_SECONDS = 5.0
_POLL_SECONDS = 0.05
_RECENT = 50
"""A list of clusters is recent for 50 times the time that Envoy took to write it: so lists take a fiftieth of its main thread."""


class AdminError(Exception):
    """A request to Envoy's admin API failed; the message says why."""


class AdminUnavailableError(AdminError):
    """Envoy does not listen on its admin socket: it is not running, or not yet."""


class AdminTimeoutError(AdminError):
    """Envoy did not answer, or did not reach the awaited state, in time."""


class AdminResponseError(AdminError):
    """Envoy's admin API answered with an error, or without the JSON that was asked for; ``status`` is the HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Connections:
    """
    The connections of clients.

    Attributes:
        open: how many are open.
        http1: how many of these speak HTTP/1.
        requests: how many requests are in progress on all of them.
    """

    open: int
    http1: int
    requests: int

    @property
    def idle_http1(self) -> bool:
        """Whether there are only connections of HTTP/1 without a request."""
        return self.open == self.http1 > 0 == self.requests


@dataclass(frozen=True)
class ServerInfo:
    """The running Envoy: ``version`` as Envoy writes it."""

    version: str
    state: EnvoyState
    uptime_seconds: int


@dataclass(frozen=True)
class CertificateStatus:
    """A certificate that Envoy serves or trusts. ``path`` is its source, as Envoy names it."""

    path: str
    serial_number: str
    subject_alt_names: tuple[str, ...]
    valid_from: str
    expiration_time: str
    days_until_expiration: int


class AdminClient:
    """
    A client of one Envoy's admin socket.

    Every method raises ``AdminUnavailableError``, ``AdminTimeoutError`` (after ``timeout`` seconds without an answer)
    or ``AdminResponseError``.
    """

    def __init__(
        self, socket: Path, *, timeout: float = _TIMEOUT_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._socket = socket
        self._clock = clock
        self._http = httpx2.AsyncClient(
            # The socket speaks no TLS: to read all CA certificates takes 30 ms of the processor.
            transport=httpx2.AsyncHTTPTransport(uds=str(socket), verify=False),
            base_url="http://envoy",
            timeout=timeout,
            trust_env=False,
        )
        self._listed: dict[str, ClusterStatus] = {}
        self._listed_until = 0.0
        self._listing = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def ready(self) -> bool:
        """Return whether Envoy is live: its first configuration is active and it does not drain."""
        try:
            await self._request("GET", "/ready")
        except AdminResponseError as error:
            if error.status == httpx2.codes.SERVICE_UNAVAILABLE:
                return False
            raise
        return True

    async def server_info(self) -> ServerInfo:
        """Return the version, state and age of the process."""
        info = await self._json("/server_info")
        return ServerInfo(
            version=str(info["version"]),
            state=EnvoyState(info["state"]),
            uptime_seconds=int(str(info["uptime_current_epoch"]).removesuffix("s")),
        )

    async def stats(self, pattern: str, *, only_gauges: bool = False) -> dict[str, int]:
        """
        Return the counters and gauges whose names match ``pattern`` (a RE2 expression, found anywhere in them).

        Gauges are few: where ``only_gauges`` suffice, Envoy looks at a fraction of its statistics.
        """
        kind = {"type": "Gauges"} if only_gauges else {}
        answer = await self._json("/stats", {"format": "json", "filter": pattern, "histogram_buckets": "none", **kind})
        return {stat["name"]: int(stat["value"]) for stat in answer["stats"] if isinstance(stat.get("value"), int)}

    async def prometheus(self, pattern: str = ".") -> AsyncIterator[bytes]:
        """
        Yield in Prometheus' text format, piece by piece, the statistics whose names match ``pattern``.

        It is a RE2 expression on Envoy's own names, found anywhere in them.
        """
        try:
            async with self._http.stream("GET", "/stats/prometheus", params={"filter": pattern}) as response:
                _check(response)
                async for piece in response.aiter_bytes():
                    yield piece
        except httpx2.TransportError as error:
            raise self._transport_error("/stats/prometheus", error) from error

    async def clusters(self) -> dict[str, ClusterStatus]:
        """Return the active clusters by name."""
        began = self._clock()
        answer = await self._request("GET", "/clusters", {"format": "json"})
        took = self._clock() - began
        try:
            # In a thread, because the answer can be megabytes.
            self._listed = await asyncio.to_thread(read_clusters, answer.content)
        except msgspec.DecodeError as error:
            raise AdminResponseError(
                f"Envoy's admin API answered /clusters with something else than clusters: {error}.", answer.status_code
            ) from error
        self._listed_until = began + _RECENT * took
        return self._listed

    async def recent_clusters(self) -> dict[str, ClusterStatus]:
        """
        Return the active clusters by name; in a large installation as they were some seconds ago.

        While Envoy writes the list, 0.2 s for 10,000 endpoints, it takes no change.
        """
        async with self._listing:
            return self._listed if self._clock() < self._listed_until else await self.clusters()

    async def warming_clusters(self) -> frozenset[str]:
        """Return the names of clusters that wait for their endpoints or first health check."""
        answer = await self._json("/config_dump", {"resource": "dynamic_warming_clusters", "mask": "cluster.name"})
        return frozenset(entry["cluster"]["name"] for entry in answer.get("configs", ()))

    async def wait_warm(self, names: Collection[str], timeout: float) -> None:
        """
        Wait until every cluster of ``names`` is active and has no newer version that still warms.

        Raises:
            AdminTimeoutError: naming those that are not, after ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        while True:
            warming = await self.warming_clusters()
            waiting = [name for name in names if name in warming]
            active = await self.clusters()
            missing = [name for name in names if name not in active and name not in warming]
            if not waiting and not missing:
                return
            if time.monotonic() >= deadline:
                raise AdminTimeoutError(
                    f"After {timeout:g} s Envoy still lacks clusters: "
                    + "; ".join(
                        f"{what}: {', '.join(sorted(of))}"
                        for what, of in (("warming", waiting), ("unknown", missing))
                        if of
                    )
                )
            await asyncio.sleep(_POLL_SECONDS)

    async def certificates(self) -> tuple[CertificateStatus, ...]:
        """Return the leaf certificates Envoy has loaded."""
        answer = await self._json("/certs")
        return tuple(
            _certificate(chain) for entry in answer.get("certificates", ()) for chain in entry.get("cert_chain", ())
        )

    async def config_dump(self) -> dict[str, Any]:
        """Return the whole configuration with endpoints. Envoy writes ``[redacted]`` for private keys."""
        return await self._json("/config_dump", {"include_eds": "true"})

    async def connections(self) -> Connections:
        """Return the connections of clients that are open."""
        counts: Counter[str] = Counter()
        for name, count in (await self.stats(f"^{CONNECTIONS}$")).items():
            counts[name.rpartition(".")[2]] += count
        return Connections(
            counts["downstream_cx_active"], counts["downstream_cx_http1_active"], counts["downstream_rq_active"]
        )

    async def drain_listeners(self, *, graceful: bool) -> None:
        """Close the listeners: at once, or (``graceful``) after the drain time, in which clients get a GOAWAY."""
        await self._request("POST", "/drain_listeners", {"graceful": ""} if graceful else None)

    async def fail_healthcheck(self) -> None:
        """Fail Envoy's own health check; each client gets a GOAWAY with its next answer."""
        await self._request("POST", "/healthcheck/fail")

    async def reopen_logs(self) -> None:
        """Flush the access log and open its file again, which may have been renamed."""
        await self._request("POST", "/reopen_logs")

    async def set_log_level(self, level: str) -> None:
        """Set all loggers to ``trace``, ``debug``, ``info``, ``warning``, ``error``, ``critical`` or ``off``."""
        await self._request("POST", "/logging", {"level": level})

    async def quit(self) -> None:
        """End the process now."""
        await self._request("POST", "/quitquitquit")

    async def _json(self, path: str, params: Mapping[str, str] | None = None) -> dict[str, Any]:
        response = await self._request("GET", path, params)
        try:
            answer = response.json()
        except ValueError as error:
            raise AdminResponseError(
                f"Envoy's admin API answered {path} with no JSON.", response.status_code
            ) from error
        if not isinstance(answer, dict):
            raise AdminResponseError(f"Envoy's admin API answered {path} with no JSON object.", response.status_code)
        return answer

    async def _request(self, method: str, path: str, params: Mapping[str, str] | None = None) -> httpx2.Response:
        try:
            response = await self._http.request(method, path, params=dict(params) if params else None)
        except httpx2.TransportError as error:
            raise self._transport_error(path, error) from error
        return _check(response)

    def _transport_error(self, path: str, error: httpx2.TransportError) -> AdminError:
        if isinstance(error, httpx2.TimeoutException):
            return AdminTimeoutError(f"Envoy's admin API did not answer {path} in time ({self._socket}).")
        return AdminUnavailableError(
            f"Envoy's admin API is not reachable at {self._socket}: {error or type(error).__name__}."
        )


def _check(response: httpx2.Response) -> httpx2.Response:
    if response.is_success:
        return response
    reason = response.text[:500].strip() if response.is_closed else ""
    raise AdminResponseError(
        f"Envoy's admin API answered {response.request.url.path} with {response.status_code}: {reason}",
        response.status_code,
    )


def _certificate(chain: Mapping[str, Any]) -> CertificateStatus:
    return CertificateStatus(
        path=chain.get("path", ""),
        serial_number=chain.get("serial_number", ""),
        subject_alt_names=tuple(value for name in chain.get("subject_alt_names", ()) for value in name.values()),
        valid_from=chain.get("valid_from", ""),
        expiration_time=chain.get("expiration_time", ""),
        days_until_expiration=int(chain.get("days_until_expiration", 0)),
    )
