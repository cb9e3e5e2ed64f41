"""The rows of ``kiteway top``: the calls of an interval, or since Envoy's start."""

from __future__ import annotations

import enum
import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from kiteway.envoy.calls import Calls, PoolCalls, Tally
from kiteway.report.calls import CallsRow, ReadOutcomes


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
    QUEUE = "queue"
    """The time that calls waited for their turn, all together."""
    REFUSED = "refused"
    HITS = "hits"
    """The reads that a cache answered."""
    NAME = "name"


OTHER, NONE = "(other)", "(none)"
"""Names of the rows of calls without one of their own; no collection and no user has parentheses."""

Name = tuple[str, ...]
"""The pool, then what the row is about."""

NO_READS = ReadOutcomes()

_FIELDS: dict[By, tuple[str, ...]] = {
    By.COLLECTION: ("database", "collection"),
    By.RPC: ("database", "collection", "rpc"),
    By.USER: ("user",),
    By.ENDPOINT: ("endpoint",),
}
"""The fields of `CallsRow` that have the name of a row."""


@dataclass(slots=True)
class _Sum:
    calls: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    bytes: int = 0
    times: Counter[int] = field(default_factory=Counter)
    cache: ReadOutcomes = NO_READS
    refused: int = 0
    waited: int = 0
    wait: int = 0

    def add(self, tally: Tally, sign: int) -> None:
        self.calls += sign * tally.calls
        for code, count in tally.errors.items():
            self.errors[code] += sign * count
        self.rows += sign * tally.rows
        self.bytes += sign * (tally.request_bytes + tally.response_bytes)
        for place, count in enumerate(tally.times):
            self.times[place] += sign * count
        if tally.cache is not None:
            self.cache = self.cache.plus(tally.cache, sign)
        self.refused += sign * tally.refused
        self.waited += sign * tally.waited
        self.wait += sign * tally.wait


def top_rows(now: Calls, by: By, key: Key, before: Calls | None = None) -> list[CallsRow]:
    """
    Return the rows of what was counted between ``before`` and ``now``, by default since Envoy started.

    Rows without any call are left out. If Envoy has restarted since ``before``, ``before`` is ignored.
    """
    sums = _sums(now, by)
    if before is not None:
        earlier = _sums(before, by)
        restarted = any(sums[name].calls < each.calls for name, each in earlier.items() if name in sums)
        if not restarted:
            for name, tally in _tallies(before, by):
                if name in sums:
                    sums[name].add(tally, -1)
    calls: Counter[str] = Counter()
    for (pool, *_), each in sums.items():
        calls[pool] += each.calls
    rows = [
        _row(by, name, each, now.bounds, calls[name[0]])
        for name, each in sums.items()
        if each.calls > 0 or each.refused > 0
    ]
    rows.sort(key=lambda row: (row.pool, row.name))
    if key is not Key.NAME:
        rows.sort(key=_VALUES[key], reverse=True)
    return rows


_VALUES: dict[Key, Callable[[CallsRow], float]] = {
    Key.CALLS: lambda row: row.calls,
    Key.ERRORS: lambda row: row.failed,
    Key.P50: lambda row: row.p50 or 0,
    Key.P99: lambda row: row.p99 or 0,
    Key.ROWS: lambda row: row.rows,
    Key.BYTES: lambda row: row.bytes,
    Key.QUEUE: lambda row: row.waited * (row.wait or 0),
    Key.REFUSED: lambda row: row.refused,
    Key.HITS: lambda row: row.cache.answered if row.cache is not None else 0,
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


def _row(by: By, name: Name, total: _Sum, bounds: Sequence[int], calls: int) -> CallsRow:
    pool, *rest = name
    times = [total.times[place] for place in range(len(bounds) + 1)]
    return CallsRow(
        pool=pool,
        **dict(zip(_FIELDS[by], rest, strict=True)),
        calls=total.calls,
        share=total.calls / calls if calls else 0.0,
        errors={code: count for code, count in sorted(total.errors.items()) if count > 0},
        p50=quantile(0.5, times, bounds),
        p99=quantile(0.99, times, bounds),
        rows=total.rows,
        bytes=total.bytes,
        cache=total.cache if total.cache.reads else None,
        waited=total.waited,
        wait=total.wait / 1e6 / total.waited if total.waited else None,
        refused=total.refused,
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
