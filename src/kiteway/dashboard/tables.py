"""The rows of the page's tables, from what was read last."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from kiteway.dashboard.board import Seen
from kiteway.dashboard.figures import Figures, cached_share, shown_time
from kiteway.dashboard.names import GRPC, clusters_of, pool_of
from kiteway.dashboard.paging import Table
from kiteway.metrics.top import By
from kiteway.report.calls import CallsRow
from kiteway.report.pools import EndpointReport, PoolReport


class Calls(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """
    The calls of a row.

    Attributes:
        rate: attempts a second in the last interval.
        errors: failed ones a second.
        p50: the median time in seconds; null without calls.
        p99: the 99th percentile, in the same way.
        rows: rows a second.
        total: attempts since Envoy's start.
        failed: of these, failed ones.
        codes: the failed ones by code.
    """

    rate: float = 0.0
    errors: float = 0.0
    p50: float | None = None
    p99: float | None = None
    rows: float = 0.0
    total: int = 0
    failed: int = 0
    codes: dict[str, int] = {}


class EndpointRow(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """
    An endpoint.

    Attributes:
        pool: NAMESPACE/SERVICE/PORT.
        address: HOST:PORT.
        health: see `kiteway.report.pools.EndpointHealth`.
        why: why it fails its check; can be empty.
        check: its check in words.
        failures: Envoy's flags.
        since: since when it is in this state; null if that is not known.
        active: calls in progress.
        share: its share of the pool's calls in the last interval, 0 to 1; null without calls.
        calls: its calls.
    """

    pool: str
    address: str
    health: str
    why: str
    check: str
    failures: tuple[str, ...]
    since: dt.datetime | None
    active: int
    share: float | None
    calls: Calls


class CollectionRow(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """
    A collection, or an rpc of one.

    Attributes:
        pool: NAMESPACE/SERVICE/PORT.
        protocol: ``grpc`` or ``rest``.
        database: its database; ``(none)``, or ``(other)`` for all without a row of their own.
        collection: its name, in the same way.
        rpc: the rpc; empty in the table of collections.
        cached: the share of reads in the last interval that the cache answered, 0 to 1; null without reads.
        saved: reads since Envoy's start that the cache answered; null if it has no cache.
        calls: its calls.
    """

    pool: str
    protocol: str
    database: str
    collection: str
    rpc: str = ""
    cached: float | None
    saved: int | None
    calls: Calls


class UserRow(msgspec.Struct, frozen=True, kw_only=True):
    """A user of a pool, in the form that ``--log-users`` sets; ``(none)`` without credentials."""

    pool: str
    protocol: str
    user: str
    calls: Calls


_CALLS: dict[str, Callable[[Any], Any]] = {
    "rate": lambda row: row.calls.rate,
    "errors": lambda row: row.calls.errors,
    "p50": lambda row: row.calls.p50,
    "p99": lambda row: row.calls.p99,
    "rows": lambda row: row.calls.rows,
    "total": lambda row: row.calls.total,
    "failed": lambda row: row.calls.failed,
}
_HEALTH_ORDER = {"failing": 0, "ejected": 1, "unhealthy": 2, "leaving": 3, "pending": 4, "healthy": 5}

ENDPOINTS: Table[EndpointRow] = Table(
    text=lambda row: f"{row.address} {row.pool} {row.why}",
    only=lambda row: row.health,
    columns={
        "address": lambda row: row.address,
        "pool": lambda row: row.pool,
        "health": lambda row: _HEALTH_ORDER.get(row.health, 0),
        "since": lambda row: row.since.timestamp() if row.since else None,
        "active": lambda row: row.active,
        "share": lambda row: row.share,
        **_CALLS,
    },
)
COLLECTIONS: Table[CollectionRow] = Table(
    text=lambda row: f"{row.database} {row.collection} {row.rpc} {row.pool}",
    columns={
        "database": lambda row: row.database,
        "collection": lambda row: row.collection,
        "pool": lambda row: row.pool,
        "rpc": lambda row: row.rpc,
        "cached": lambda row: row.cached,
        "saved": lambda row: row.saved,
        **_CALLS,
    },
)
USERS: Table[UserRow] = Table(
    text=lambda row: f"{row.user} {row.pool}",
    columns={"user": lambda row: row.user, "pool": lambda row: row.pool, **_CALLS},
)


def endpoint_rows(seen: Seen) -> Iterator[EndpointRow]:
    """Yield the endpoints, those that get no calls first, then by address."""
    rows = [row for pool in seen.status.pools for row in _of_pool(pool, seen.figures)]
    yield from sorted(rows, key=lambda row: (_HEALTH_ORDER.get(row.health, 0), row.pool, row.address))


def collection_rows(seen: Seen, kind: By = By.COLLECTION) -> Iterator[CollectionRow]:
    """Yield the collections, or with `By.RPC` the rpcs of each, the busiest first."""
    figures = seen.figures
    now = figures.now.get(kind, {})
    rows = [_collection(row, now.get(name), figures) for name, row in figures.total.get(kind, {}).items()]
    yield from sorted(rows, key=lambda row: (-row.calls.rate, -row.calls.total, row.database, row.collection))


def user_rows(seen: Seen) -> Iterator[UserRow]:
    """Yield the users, the busiest first."""
    figures = seen.figures
    now = figures.now.get(By.USER, {})
    rows = []
    for name, row in figures.total.get(By.USER, {}).items():
        pool, protocol = pool_of(row.pool)
        calls = _calls(row, now.get(name), figures)
        rows.append(UserRow(pool=pool, protocol=protocol, user=row.name[0], calls=calls))
    yield from sorted(rows, key=lambda row: (-row.calls.rate, -row.calls.total, row.user))


def _of_pool(pool: PoolReport, figures: Figures) -> Iterator[EndpointRow]:
    now, total = figures.now.get(By.ENDPOINT, {}), figures.total.get(By.ENDPOINT, {})
    clusters = clusters_of(pool.name)
    addresses = [endpoint.address for endpoint in pool.endpoints]
    counted = {
        address: sum(row.calls for cluster in clusters if (row := now.get((cluster, address)))) for address in addresses
    }
    together = sum(counted.values())
    for endpoint in pool.endpoints:
        address = endpoint.address
        # Times are those of gRPC: two histograms of different protocols have no common percentile.
        protocol = next((each for each in clusters if (each, address) in total), clusters[0])
        row = total.get((protocol, address))
        yield EndpointRow(
            pool=pool.name,
            address=address,
            health=str(endpoint.health),
            why=endpoint.why,
            check=endpoint.check,
            failures=tuple(map(str, endpoint.failures)),
            since=endpoint.since,
            active=endpoint.active,
            share=counted[address] / together if together else None,
            calls=_calls(row, now.get((protocol, address)), figures) if row else _uncounted(endpoint),
        )


def _uncounted(endpoint: EndpointReport) -> Calls:
    """Return Envoy's own counts, where the filter has none."""
    return Calls(total=endpoint.calls, failed=endpoint.errors)


def _collection(row: CallsRow, now: CallsRow | None, figures: Figures) -> CollectionRow:
    pool, protocol = pool_of(row.pool)
    return CollectionRow(
        pool=pool,
        protocol=protocol or GRPC,
        database=row.name[0],
        collection=row.name[1],
        rpc=row.name[2] if len(row.name) > 2 else "",
        cached=cached_share([now]) if now else None,
        saved=row.cache.answered if row.cache else None,
        calls=_calls(row, now, figures),
    )


def _calls(total: CallsRow, now: CallsRow | None, figures: Figures) -> Calls:
    return Calls(
        rate=figures.rate(now.calls) if now else 0.0,
        errors=figures.rate(now.failed) if now else 0.0,
        p50=shown_time(now.p50) if now else None,
        p99=shown_time(now.p99) if now else None,
        rows=figures.rate(now.rows) if now else 0.0,
        total=total.calls,
        failed=total.failed,
        codes=total.errors,
    )
