"""The part `cache` of a MilvusPolicy: whether and how long answers to reads are stored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from kiteway.resources import reasons
from kiteway.resources.places import quoted
from kiteway.resources.quantities import byte_quantity, bytes_of, duration, seconds_of
from kiteway.resources.rules import at_most
from kiteway.resources.schema import REQUIRED, Origin, Violation, described

_ORIGIN = Origin.MILVUS_POLICY

DEFAULT_STALENESS_BOUND: Final = "5s"
"""Milvus's ``common.gracefulTime``: the staleness that a read at the level Bounded accepts of Milvus itself."""
DEFAULT_FILL_LAG: Final = "1s"
DEFAULT_MAX_WAIT: Final = "3s"
DEFAULT_MEMORY: Final = "64Mi"
DEFAULT_MAX_ENTRY_BYTES: Final = "1Mi"
DEFAULT_DATABASE: Final = "default"
MOST_COLLECTIONS: Final = 64
"""Collections with settings of their own: each is in every route of Envoy to the pool."""

_LONGEST_NAME = 255
_LEAST_MEMORY, _MOST_MEMORY = 1 << 20, 16 << 30
_LEAST_ENTRY, _MOST_ENTRY = 1 << 10, 64 << 20


def _staleness(value: str) -> Violation | None:
    seconds = seconds_of(value)
    if seconds is not None and seconds > 5:
        return Violation(
            f"must be at most 5s, not {quoted(value)}: a read at the level Bounded accepts no more of Milvus "
            "(common.gracefulTime).",
            "Set eventualBound for reads at the level Eventually, which may be longer.",
        )
    return duration("100ms", "5s")(value)


def _name(value: str) -> Violation | None:
    if 1 <= len(value) <= _LONGEST_NAME:
        return None
    return Violation(f"must have 1 to {_LONGEST_NAME} characters, not {len(value)}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyCachedCollection:
    """The cache's settings for one collection. A missing field has the value of the whole cache."""

    database: str = described("Its database.", DEFAULT_DATABASE, _name, origin=_ORIGIN)
    collection: str = described(
        "Its name, as reads write it: an alias is a name of its own.", REQUIRED, _name, origin=_ORIGIN
    )
    enabled: bool = described("Whether answers are stored.", default=True, absent="true", origin=_ORIGIN)
    staleness_bound: str | None = described(
        "As stalenessBound of the cache.", None, _staleness, absent="that of the cache", origin=_ORIGIN
    )
    eventual_bound: str | None = described(
        "As eventualBound of the cache.", None, duration("100ms", "1h"), absent="that of the cache", origin=_ORIGIN
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyCache:
    """Whether answers to reads are stored and shared; off without this part."""

    enabled: bool = described("Whether answers are stored.", REQUIRED, origin=_ORIGIN)
    staleness_bound: str | None = described(
        "How old an answer may be, 100ms to 5s. At most common.gracefulTime of Milvus, if that is shorter.",
        None,
        _staleness,
        absent=DEFAULT_STALENESS_BOUND,
        origin=_ORIGIN,
    )
    eventual_bound: str | None = described(
        "How old an answer may be for reads at the level Eventually, 100ms to 1h.",
        None,
        duration("100ms", "1h"),
        absent="stalenessBound",
        origin=_ORIGIN,
    )
    fill_lag: str | None = described(
        "How old an answer is asked for, so that Milvus need not wait, 1ms to 5s. Less than every stalenessBound.",
        None,
        duration("1ms", "5s"),
        absent=DEFAULT_FILL_LAG,
        origin=_ORIGIN,
    )
    max_wait: str | None = described(
        "How long a read waits at most for the answer to an equal read in flight, 1ms to 10m.",
        None,
        duration("1ms", "10m"),
        absent=DEFAULT_MAX_WAIT,
        origin=_ORIGIN,
    )
    memory: int | str | None = described(
        "Bytes of the answers stored in each replica, at most, for each port of the Service, 1Mi to 16Gi.",
        None,
        byte_quantity(_LEAST_MEMORY, _MOST_MEMORY),
        absent=DEFAULT_MEMORY,
        origin=_ORIGIN,
    )
    max_entry_bytes: int | str | None = described(
        "Bytes of one answer: a larger answer is not stored, 1Ki to 64Mi. At most memory.",
        None,
        byte_quantity(_LEAST_ENTRY, _MOST_ENTRY),
        absent=DEFAULT_MAX_ENTRY_BYTES,
        origin=_ORIGIN,
    )
    collections: tuple[PolicyCachedCollection, ...] = described(
        "Settings of single collections.", (), at_most(MOST_COLLECTIONS), origin=_ORIGIN
    )

    def violations(self) -> Iterator[Violation]:
        """Yield values that contradict each other, and a collection that is named twice."""
        lag = self.fill_lag or DEFAULT_FILL_LAG
        if self.staleness_bound is not None:
            yield from _above(lag, self.staleness_bound, ("stalenessBound",))
        elif not _is_above(lag, DEFAULT_STALENESS_BOUND):
            yield Violation(f"must be below stalenessBound ({DEFAULT_STALENESS_BOUND}).", path=("fillLag",))
        memory = DEFAULT_MEMORY if self.memory is None else self.memory
        entry = DEFAULT_MAX_ENTRY_BYTES if self.max_entry_bytes is None else self.max_entry_bytes
        if (bytes_of(entry) or 0) > (bytes_of(memory) or 0):
            yield Violation(f"must be at most memory ({memory}), not {entry}.", path=("maxEntryBytes",))
        seen = set()
        for index, each in enumerate(self.collections):
            if each.staleness_bound is not None:
                yield from _above(lag, each.staleness_bound, ("collections", index, "stalenessBound"))
            if (each.database, each.collection) in seen:
                path = ("collections", index)
                yield Violation("must not be named twice.", "Remove it.", reasons.FIELD_VALUE_DUPLICATE, path)
            seen.add((each.database, each.collection))


def _is_above(lag: str, bound: str) -> bool:
    lag_seconds, seconds = seconds_of(lag), seconds_of(bound)
    return lag_seconds is None or seconds is None or lag_seconds < seconds


def _above(lag: str, bound: str, path: tuple[str | int, ...]) -> Iterator[Violation]:
    """Yield a violation where ``bound`` is not above ``lag``: an answer could never be served twice."""
    if not _is_above(lag, bound):
        yield Violation(f"must be above fillLag ({lag}), not {quoted(bound)}.", "Set a shorter fillLag.", path=path)
