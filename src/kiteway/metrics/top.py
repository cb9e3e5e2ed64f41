"""The rows of ``kiteway top``: the calls of an interval, or since Envoy's start."""

from __future__ import annotations

import enum
import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from kiteway.envoy.calls import Calls, PoolCalls, Tally
from kiteway.envoy.xds.common import grpc_cluster_name_of


class By(enum.StrEnum):
    """The kind of the rows."""

    COLLECTION = "collection"
    RPC = "rpc"
    """An rpc of a collection."""
    USER = "user"
    ENDPOINT = "endpoint"


class Key(enum.StrEnum):
    """The column by which rows are sorted: the largest first, names in alphabetical order."""

    CALLS = "calls"
    ERRORS = "errors"
    P50 = "p50"
    P99 = "p99"
    ROWS = "rows"
    BYTES = "bytes"
    NAME = "name"


OTHER, NONE = "(other)", "(none)"
"""Names of the rows of calls without one of their own; no collection and no user has parentheses."""

Name = tuple[str, ...]
"""The pool, then what the row is about."""


@dataclass(frozen=True, slots=True)
class Row:
    """
    The calls that a row is about.

    Attributes:
        pool: the name of the pool's cluster in Envoy.
        name: database and collection, these and an rpc, the user, or the endpoint.
        calls: attempts at an endpoint.
        errors: how many of these attempts ended with an error, by code.
        p50: the median time of an attempt in seconds, from a histogram; None without attempts.
        p99: the 99th percentile, in the same way.
        rows: rows written or found.
        bytes: of all messages, both ways.
        cached: reads that were answered from the pool's cache, or with the answer to an equal read; these are no attempts.
            None if the row is not about a collection, or its pool has no cache.
        reads: of all reads by gRPC that the cache has seen; None as `cached` is.
    """

    pool: str
    name: tuple[str, ...]
    calls: int
    errors: dict[str, int]
    p50: float | None
    p99: float | None
    rows: int
    bytes: int
    cached: int | None = None
    reads: int | None = None

    @property
    def failed(self) -> int:
        """The number of calls that ended with an error."""
        return sum(self.errors.values())


@dataclass(slots=True)
class _Sum:
    calls: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    bytes: int = 0
    times: Counter[int] = field(default_factory=Counter)

    def add(self, tally: Tally, sign: int) -> None:
        self.calls += sign * tally.calls
        for code, count in tally.errors.items():
            self.errors[code] += sign * count
        self.rows += sign * tally.rows
        self.bytes += sign * (tally.request_bytes + tally.response_bytes)
        for place, count in enumerate(tally.times):
            self.times[place] += sign * count


def top_rows(now: Calls, by: By, key: Key, before: Calls | None = None) -> list[Row]:
    """
    Return the rows of what was counted between ``before`` and ``now``, by default since Envoy started.

    Rows without calls and without reads from a cache are left out. If Envoy has restarted since ``before``, ``before`` is
    ignored.
    """
    sums, caches = _sums(now, by), _caches(now, by)
    if before is not None:
        earlier, earlier_caches = _sums(before, by), _caches(before, by)
        restarted = any(sums[name].calls < each.calls for name, each in earlier.items() if name in sums)
        restarted |= any(caches[name].reads < each.reads for name, each in earlier_caches.items() if name in caches)
        if not restarted:
            for name, tally in _tallies(before, by):
                if name in sums:
                    sums[name].add(tally, -1)
            for name, each in caches.items():
                then = earlier_caches.get(name, _Cached(0, 0))
                caches[name] = _Cached(each.cached - then.cached, each.reads - then.reads)
    names = [name for name, each in sums.items() if each.calls > 0]
    known = set(names)
    names += [name for name, each in caches.items() if each.cached > 0 and name not in known]
    rows = [_row(name, sums.get(name, _Sum()), now.bounds, caches.get(name)) for name in names]
    rows.sort(key=lambda row: (row.pool, row.name))
    if key is not Key.NAME:
        rows.sort(key=_VALUES[key], reverse=True)
    return rows


_VALUES: dict[Key, Callable[[Row], float]] = {
    Key.CALLS: lambda row: row.calls,
    Key.ERRORS: lambda row: row.failed,
    Key.P50: lambda row: row.p50 or 0,
    Key.P99: lambda row: row.p99 or 0,
    Key.ROWS: lambda row: row.rows,
    Key.BYTES: lambda row: row.bytes,
}


class _Cached(NamedTuple):
    cached: int
    reads: int


def _caches(calls: Calls, by: By) -> dict[Name, _Cached]:
    """Return what the caches have done for each collection; nothing for other rows."""
    if by is not By.COLLECTION:
        return {}
    return {
        (grpc_cluster_name_of(pool), *_collection(each.database, each.collection, other=False)): _Cached(
            each.hit + each.joined, each.hit + each.joined + each.miss + each.bypass
        )
        for pool, cache in calls.cache.items()
        for each in cache.collections
    }


def _sums(calls: Calls, by: By) -> dict[Name, _Sum]:
    sums: dict[Name, _Sum] = {}
    for name, tally in _tallies(calls, by):
        sums.setdefault(name, _Sum()).add(tally, 1)
    return sums


def _tallies(calls: Calls, by: By) -> Iterator[tuple[Name, Tally]]:
    for pool in calls.pools:
        for name, tally in _of_pool(pool, by):
            yield (pool.name, *name), tally


def _of_pool(pool: PoolCalls, by: By) -> Iterable[tuple[Name, Tally]]:
    match by:
        case By.COLLECTION:
            return ((_collection(each.database, each.collection, other=each.other), each) for each in pool.collections)
        case By.RPC:
            return (
                ((*_collection(each.database, each.collection, other=each.other), each.rpc), each)
                for each in pool.collections
            )
        case By.USER:
            return (((OTHER if each.other else each.user or NONE,), each) for each in pool.users)
        case By.ENDPOINT:
            return (((each.endpoint,), each) for each in pool.endpoints)


def _collection(database: str, collection: str, *, other: bool) -> Name:
    return (OTHER, OTHER) if other else (database or NONE, collection or NONE)


def _row(name: Name, total: _Sum, bounds: Sequence[int], cached: _Cached | None) -> Row:
    pool, *rest = name
    times = [total.times[place] for place in range(len(bounds) + 1)]
    return Row(
        pool,
        tuple(rest),
        total.calls,
        {code: count for code, count in sorted(total.errors.items()) if count > 0},
        quantile(0.5, times, bounds),
        quantile(0.99, times, bounds),
        total.rows,
        total.bytes,
        cached.cached if cached is not None else None,
        cached.reads if cached is not None else None,
    )


def quantile(share: float, times: Sequence[int], bounds: Sequence[int]) -> float | None:
    """
    Return the time in seconds that ``share`` (0 to 1) of the calls of a histogram did not exceed.

    Calls within a bucket count as evenly spread. The time is infinite above the last bound, and None without any call.
    """
    rank = share * sum(times)
    if rank <= 0:
        return None
    lower = 0
    for (below, count), bound in zip(itertools.pairwise(itertools.accumulate(times, initial=0)), bounds, strict=False):
        if count >= rank:
            return (lower + (bound - lower) * (rank - below) / (count - below)) / 1e6
        lower = bound
    return math.inf
