"""The last hour, in memory: series of figures, bounded in number and in size."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

STEP_SECONDS: Final = 5.0
"""The interval of one point."""
POINTS: Final = 720
"""Points of a series: an hour."""
SERIES_MOST: Final = 500
"""Series. One takes 17 KiB, so all of them take less than 9 MiB."""
IDLE_POINTS: Final = 180
"""A series without calls for so many points, 15 minutes, gives its place to a new one when there is none left."""

Key = tuple[str, ...]
"""What a series is about: its kind, then names."""


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """
    The figures of one interval.

    Attributes:
        calls: attempts a second.
        errors: of these, failed ones a second.
        p50: the median time in seconds; NaN without calls.
        p99: the 99th percentile, in the same way.
        rows: rows a second.
        cached: the share of reads that the cache answered, 0 to 1; NaN without reads.
    """

    calls: float = 0.0
    errors: float = 0.0
    p50: float = math.nan
    p99: float = math.nan
    rows: float = 0.0
    cached: float = math.nan


_FIELDS = Point.__struct_fields__
_NOTHING = Point()
_UNKNOWN = Point(calls=math.nan, errors=math.nan, rows=math.nan)


class Plot(msgspec.Struct, frozen=True):
    """
    The end of a series, oldest first; null is a point that is not known.

    Attributes:
        step: seconds between two points.
        at: the time of each point in seconds since 1970.
    """

    step: float
    at: list[float]
    calls: list[float | None]
    errors: list[float | None]
    p50: list[float | None]
    p99: list[float | None]
    rows: list[float | None]
    cached: list[float | None]


class History:
    """Rings of points that share one time axis."""

    def __init__(self, *, series: int = SERIES_MOST, points: int = POINTS) -> None:
        self._most = series
        self._points = points
        self._at = array("d", [math.nan]) * points
        self._series: dict[Key, _Ring] = {}
        self._count = 0

    @property
    def number(self) -> int:
        """The number of series."""
        return len(self._series)

    @property
    def full(self) -> bool:
        """Whether a new series may find no place."""
        return len(self._series) >= self._most

    def add(self, at: float, points: Mapping[Key, Point]) -> None:
        """
        Add a point of time to all series; those that ``points`` does not name had no calls.

        Args:
            at: seconds since 1970.
            points: the figures of what had calls. Where there is no place for all, the busiest come first.
        """
        place = self._count % self._points
        self._at[place] = at
        self._count += 1
        for key, ring in self._series.items():
            ring.put(place, points.get(key, _NOTHING), self._count)
        new = [key for key in points if key not in self._series]
        for key in sorted(new, key=lambda key: -points[key].calls):
            if not self._make_room():
                break
            self._series[key] = ring = _Ring(self._points)
            ring.put(place, points[key], self._count)

    def skip(self, at: float) -> None:
        """Add a point of time at which nothing is known, for example because Envoy did not answer."""
        place = self._count % self._points
        self._at[place] = at
        self._count += 1
        for ring in self._series.values():
            ring.put(place, _UNKNOWN, 0)

    def plot(self, key: Key, points: int) -> Plot | None:
        """Return the newest ``points`` of a series; None if there is no such series."""
        ring = self._series.get(key)
        if ring is None:
            return None
        length = min(points, self._count, self._points)
        places = [number % self._points for number in range(self._count - length, self._count)]
        columns = {name: _known(values[place] for place in places) for name, values in ring.columns.items()}
        return Plot(STEP_SECONDS, [self._at[place] for place in places], **columns)

    def _make_room(self) -> bool:
        if len(self._series) < self._most:
            return True
        oldest = min(self._series, key=lambda key: self._series[key].busy)
        if self._count - self._series[oldest].busy < IDLE_POINTS:
            return False
        del self._series[oldest]
        return True


class _Ring:
    """One series; ``busy`` is the number of the last point that had calls."""

    __slots__ = ("busy", "columns")

    def __init__(self, points: int) -> None:
        self.columns = {name: array("f", [math.nan]) * points for name in _FIELDS}
        self.busy = 0

    def put(self, place: int, point: Point, count: int) -> None:
        for name, values in self.columns.items():
            values[place] = getattr(point, name)
        if point.calls > 0:
            self.busy = count


def _known(values: Iterable[float]) -> list[float | None]:
    """Return values for JSON, which has neither NaN nor infinity: a time above the histogram's last bound is that bound."""
    return [None if math.isnan(value) else 60.0 if math.isinf(value) else round(value, 6) for value in values]
