"""
What Kiteway's filter has counted of calls, by collection, user and endpoint, and of the caches.

The filter answers on its own unix socket (``filter/core/src/calls/report.rs``); the page of metrics and
``kiteway top`` read it here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

import httpx2
import msgspec

from kiteway.report.calls import ReadOutcomes

_TIMEOUT_SECONDS = 5.0


class CallsError(Exception):
    """The counts cannot be read; the message says why."""


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """
    Counts since Envoy started.

    Attributes:
        calls: attempts at an endpoint, and reads that a cache answered. A call that is sent to a second endpoint counts twice; calls
            that the filter itself makes do not count.
        errors: how many ended with an error, by Milvus's code or by gRPC's status (for REST the class of HTTP's);
            ``none`` for those without an answer.
        rows: rows that were written or found.
        request_bytes: of messages.
        response_bytes: of messages.
        time: the sum of the calls' durations in microseconds.
        times: calls by their duration: one number for each bound of `Calls.bounds`, and one for those above.
        cache: what the pool's cache did with the reads among them; None without a read that it has seen.
        refused: calls that limits or the admission refused; they are not among ``calls``.
        waited: calls that had to wait for their turn.
        wait: the sum of their waits in microseconds.
    """

    calls: int
    errors: dict[str, int]
    rows: int
    request_bytes: int
    response_bytes: int
    time: int
    times: list[int]
    cache: ReadOutcomes | None = None
    refused: int = 0
    waited: int = 0
    wait: int = 0


class OfCollection(Tally, frozen=True, kw_only=True):
    """
    Calls of one rpc to one collection.

    Attributes:
        database: empty for calls that name none.
        collection: empty for calls that name none.
        rpc: its name, or ``other``.
        other: whether these are the calls to all collections that have no counts of their own.
    """

    database: str
    collection: str
    rpc: str
    other: bool


class OfUser(Tally, frozen=True, kw_only=True):
    """
    Calls of one user.

    Attributes:
        user: empty for calls without credentials.
        other: whether these are the calls of all users that have no counts of their own, for example because Milvus
            refused them.
    """

    user: str
    other: bool


class OfEndpoint(Tally, frozen=True, kw_only=True):
    """Calls to one endpoint, ``HOST:PORT``."""

    endpoint: str


class PoolCalls(msgspec.Struct, frozen=True, kw_only=True):
    """The calls of a pool; ``name`` is that of its cluster in Envoy. Each call is in all of the lists."""

    name: str
    collections: list[OfCollection]
    users: list[OfUser]
    endpoints: list[OfEndpoint]


class CacheOutcomes(msgspec.Struct, frozen=True, kw_only=True):
    """
    Reads by gRPC on routes to a pool with a cache.

    Attributes:
        hit: answered from the cache.
        joined: answered with the answer to an equal read in flight.
        miss: sent to Milvus in a form whose answer may be kept.
        bypass: sent to Milvus as they are, by the reason.
    """

    hit: int
    joined: int
    miss: int
    bypass: dict[str, int]


class PoolCache(msgspec.Struct, frozen=True, kw_only=True):
    """
    The cache of a pool.

    Attributes:
        bytes: that the answers take.
        entries: stored answers.
        generation: how often everything was dropped.
        closed: whether nothing is answered or kept now, because of a call that changes collections or privileges.
        sample_age_ms: milliseconds since the newest timestamp was requested from Milvus; None without one.
        outcomes: reads since Envoy's start.
        headers: request headers that keep answers apart although they are not known to matter, at most 16.
    """

    bytes: int
    entries: int
    generation: int
    closed: bool
    sample_age_ms: int | None
    outcomes: CacheOutcomes
    headers: list[str]


class Calls(msgspec.Struct, frozen=True, kw_only=True):
    """
    Everything that was counted.

    Attributes:
        bounds: the upper bounds of `Tally.times`, in microseconds.
        pools: the calls of each cluster.
        cache: the cache of each pool that has or had one, by the pool's name (NAMESPACE/SERVICE/PORT).
    """

    bounds: list[int]
    pools: list[PoolCalls]
    cache: dict[str, PoolCache] = {}


class CallsClient:
    """Reads the counts of one Envoy."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._http = httpx2.AsyncClient(
            # The socket speaks no TLS: to read all CA certificates takes 30 ms of the processor.
            transport=httpx2.AsyncHTTPTransport(uds=str(socket), verify=False),
            base_url="http://calls",
            timeout=_TIMEOUT_SECONDS,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def read(self) -> Calls:
        """
        Return the counts.

        Raises:
            CallsError: Envoy does not run, or runs without the filter.
        """
        try:
            response = await self._http.get("/")
            response.raise_for_status()
            return msgspec.json.decode(response.content, type=Calls)
        except (httpx2.HTTPError, msgspec.DecodeError) as error:
            raise CallsError(
                f"Envoy does not say what it has counted at {self._socket}: {error or type(error).__name__}"
            ) from error
