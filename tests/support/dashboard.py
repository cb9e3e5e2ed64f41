"""The web page on a port of 127.0.0.1, before a made-up instance."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import socket
from collections.abc import AsyncIterator, Mapping
from typing import Any

from kiteway.dashboard.access import Access
from kiteway.dashboard.board import Board
from kiteway.dashboard.server import LIMITS, application
from kiteway.envoy.calls import Calls, OfCollection, OfEndpoint, OfUser, PoolCalls
from kiteway.metrics.server import scraped
from kiteway.model import BackendProtocol, HTTPMode, PathMatchType
from kiteway.report.certificates import ServedCertificate
from kiteway.report.pools import EndpointHealth, EndpointReport, PoolReport, UpstreamTlsReport
from kiteway.report.routing import HostReport, RouteReport
from kiteway.report.status import EnvoyReport, EnvoyState, State, Status
from kiteway.status.server import TLS

_BOUNDS = [1000, 10_000, 100_000, 1_000_000]


class MadeUp:
    """A source with so many hosts, and so many endpoints in all; each counts one call more with each reading."""

    def __init__(self, hosts: int, endpoints: int) -> None:
        self.value = status(hosts, endpoints)
        self.asked = 0
        self._calls = 0

    async def status(self) -> Status:
        """Return the same status again."""
        self.asked += 1
        return self.value

    async def calls(self) -> Calls | None:
        """Return counts that have grown."""
        self._calls += 1
        return calls(self.value, self._calls)

    async def statistics(self) -> Mapping[str, int]:
        """Return a few statistics."""
        return {"http.https.downstream_cx_active": 7, "kiteway.refused_total.reason.waited": 3}

    async def signals(self) -> Mapping[str, int]:
        """Return the number of unhealthy endpoints."""
        return {"unhealthy": sum(not each.healthy for pool in self.value.pools for each in pool.endpoints)}


def status(hosts: int, endpoints: int) -> Status:
    """Return a status in which each host has a pool and a certificate."""
    each = endpoints // hosts
    now = dt.datetime.now(dt.UTC)
    return Status(
        version="1.2.3",
        state=State.READY,
        ready=True,
        envoy=EnvoyReport(reachable=True, version="1.40.0", state=EnvoyState.LIVE, uptime_seconds=100),
        hosts=tuple(
            HostReport(
                f"h{number}.example.com",
                f"default/i{number}",
                https=True,
                http=HTTPMode.SERVE,
                routes=(RouteReport("/", PathMatchType.PREFIX, f"default/s{number}/19530"),),
            )
            for number in range(hosts)
        ),
        pools=tuple(
            PoolReport(
                name=f"default/s{number}/19530",
                protocol=BackendProtocol.HTTP2,
                rest=False,
                endpoints=tuple(_endpoint(number * each + place) for place in range(each)),
                tls=UpstreamTlsReport(verified=False, how="plaintext"),
                keepalive_seconds=10,
            )
            for number in range(hosts)
        ),
        certificates=tuple(
            ServedCertificate(
                name=f"default/c{number}",
                names=(f"h{number}.example.com",),
                not_before=now,
                not_after=now + dt.timedelta(days=number),
                days_left=number,
                key_type="EC P-256",
                issuer="CN=x",
                self_signed=False,
                fingerprint=f"{number:064x}",
                chain=(),
                problems=(),
                source=f"Secret default/c{number}",
                served_for=(f"h{number}.example.com",),
                temporary=False,
            )
            for number in range(hosts)
        ),
    )


def calls(of: Status, number: int) -> Calls:
    """Return the counts after ``number`` calls to each endpoint."""
    counts: dict[str, Any] = {
        "errors": {},
        "rows": number,
        "request_bytes": number,
        "response_bytes": number,
        "time": 5000 * number,
    }
    tally: dict[str, Any] = {"calls": number, "times": [0, number, 0, 0, 0], **counts}
    return Calls(
        bounds=_BOUNDS,
        pools=[
            PoolCalls(
                name=f"pool/{pool.name}/grpc",
                collections=[OfCollection(database="default", collection="books", rpc="Search", other=False, **tally)],
                users=[OfUser(user="root", other=False, **tally)],
                endpoints=[OfEndpoint(endpoint=each.address, **tally) for each in pool.endpoints],
            )
            for pool in of.pools
        ],
    )


def _endpoint(number: int) -> EndpointReport:
    health = EndpointHealth.FAILING if number % 100 == 0 else EndpointHealth.HEALTHY
    return EndpointReport(
        address=f"10.{number // 62_500}.{number // 250 % 250}.{number % 250}:19530",
        healthy=health is EndpointHealth.HEALTHY,
        health=health,
        check="HTTP /healthz on port 9091",
        why="9091 refused the connection" if health is EndpointHealth.FAILING else "",
        check_fails=health is EndpointHealth.FAILING,
    )


@contextlib.asynccontextmanager
async def served(
    source: MadeUp, access: Access | None = None, tls: TLS | None = None
) -> AsyncIterator[tuple[Board, str]]:
    """Serve the page of ``source``, and keep it up to date; the value is its state and its address."""
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as chosen:
        bind = f"127.0.0.1:{chosen.getsockname()[1]}"
    board = Board(source)
    reading = asyncio.create_task(board.run())
    try:
        async with scraped(bind, application(board, access or Access()), LIMITS, tls):
            yield board, f"{'https' if tls else 'http'}://{bind}"
            await board.end()
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
