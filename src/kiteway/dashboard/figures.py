"""The figures of calls: the rows of ``kiteway top`` for an interval and since Envoy's start, and points for the history."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

import msgspec

from kiteway.dashboard.history import Key as SeriesKey
from kiteway.dashboard.history import Point
from kiteway.envoy.calls import Calls, OfCollection, PoolCalls
from kiteway.metrics.top import By, Key, top_rows
from kiteway.report.calls import CallsRow

ALL: SeriesKey = ("all",)
"""The series of all calls."""

_KINDS = (By.COLLECTION, By.RPC, By.USER, By.ENDPOINT)

Name = tuple[str, ...]
"""The pool's cluster in Envoy, then what `kiteway.report.calls.CallsRow.name` says."""


@dataclass(frozen=True, slots=True)
class Figures:
    """
    What was counted.

    Attributes:
        seconds: the length of the interval; 0 if there is none yet.
        now: rows of the interval, by their kind and name.
        total: rows since Envoy's start.
        all_now: the row of all calls of the interval; None without calls.
        all_total: the same since Envoy's start.
    """

    seconds: float = 0.0
    now: dict[By, dict[Name, CallsRow]] = field(default_factory=dict)
    total: dict[By, dict[Name, CallsRow]] = field(default_factory=dict)
    all_now: CallsRow | None = None
    all_total: CallsRow | None = None

    def rate(self, number: float) -> float:
        """Return ``number`` divided by the interval's seconds; 0 for an empty interval."""
        return number / self.seconds if self.seconds > 0 else 0.0

    def points(self) -> dict[SeriesKey, Point]:
        """Return the points of the interval for the history: all calls, collections and endpoints."""
        found: dict[SeriesKey, Point] = {}
        if self.seconds <= 0:
            return found
        if self.all_now is not None:
            found[ALL] = self._point(self.all_now, cached_share(self.now.get(By.COLLECTION, {}).values()))
        for kind in (By.COLLECTION, By.ENDPOINT):
            for name, row in self.now.get(kind, {}).items():
                found[str(kind), *name] = self._point(row, cached_share([row]))
        return found

    def _point(self, row: CallsRow, cached: float | None) -> Point:
        return Point(
            calls=self.rate(row.calls),
            errors=self.rate(row.failed),
            p50=math.nan if row.p50 is None else row.p50,
            p99=math.nan if row.p99 is None else row.p99,
            rows=self.rate(row.rows),
            cached=math.nan if cached is None else cached,
        )


def figures(now: Calls, before: Calls | None, seconds: float) -> Figures:
    """Return the figures of ``seconds`` from ``before`` to ``now``, and those since Envoy's start."""
    together = _together(now)
    together_before = None if before is None else _together(before, {_series(*each) for each in _collections(now)})
    return Figures(
        seconds=seconds if before is not None else 0.0,
        now={kind: _rows(now, kind, before) for kind in _KINDS} if before is not None else {},
        total={kind: _rows(now, kind, None) for kind in _KINDS},
        all_now=_only(top_rows(together, By.COLLECTION, Key.CALLS, together_before)) if before is not None else None,
        all_total=_only(top_rows(together, By.COLLECTION, Key.CALLS)),
    )


def cached_share(rows: Iterable[CallsRow]) -> float | None:
    """Return the share of the reads of ``rows`` that a cache answered, 0 to 1; None without reads."""
    outcomes = [row.cache for row in rows if row.cache is not None]
    reads = sum(each.reads for each in outcomes)
    return sum(each.answered for each in outcomes) / reads if reads else None


def shown_time(seconds: float | None) -> float | None:
    """Return a time for JSON, which has no infinity: one above the histogram's last bound, a minute, is that bound."""
    return 60.0 if seconds is not None and math.isinf(seconds) else seconds


def _rows(now: Calls, kind: By, before: Calls | None) -> dict[Name, CallsRow]:
    return {(row.pool, *row.name): row for row in top_rows(now, kind, Key.NAME, before)}


def _only(rows: list[CallsRow]) -> CallsRow | None:
    return rows[0] if rows else None


def _together(calls: Calls, still: Collection[Name] | None = None) -> Calls:
    """
    Return the calls as those of one collection of one pool, so that times of all are one histogram.

    With ``still`` only the counts of these series: the filter drops those of a collection that is gone.
    """
    all_ = [
        msgspec.structs.replace(each, database="", collection="", other=False)
        for pool, each in _collections(calls)
        if still is None or _series(pool, each) in still
    ]
    return Calls(bounds=calls.bounds, pools=[PoolCalls(name="", collections=all_, users=[], endpoints=[])])


def _collections(calls: Calls) -> Iterator[tuple[str, OfCollection]]:
    return ((pool.name, each) for pool in calls.pools for each in pool.collections)


def _series(pool: str, each: OfCollection) -> Name:
    return (pool, str(each.other), each.database, each.collection, each.rpc)
