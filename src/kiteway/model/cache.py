"""The cache of a pool: for how long answers to reads are stored, and how much memory they may take."""

from __future__ import annotations

from dataclasses import dataclass

from kiteway.diagnostics import ObjectRef


@dataclass(frozen=True, slots=True)
class CachedCollection:
    """
    The settings for one collection, in place of those of its pool.

    Attributes:
        database: its database.
        collection: its name, or an alias.
        enabled: whether answers are stored.
        staleness_bound: seconds that an answer may be old.
        eventual_bound: the same for reads at the level Eventually.
    """

    database: str
    collection: str
    enabled: bool
    staleness_bound: float
    eventual_bound: float


@dataclass(frozen=True, slots=True)
class Cache:
    """
    The cache of a pool, in each replica of Kiteway. docs/design/cache.md explains the bounds.

    Attributes:
        policy: the MilvusPolicy that turns it on; None if it is on where no policy says otherwise.
        staleness_bound: seconds that an answer may be old, at most Milvus's ``common.gracefulTime``.
        eventual_bound: the same for reads at the level Eventually.
        fill_lag: seconds that the timestamp of a fill is old, less than every ``staleness_bound``.
        max_wait: seconds that a read waits for the answer to an equal read in flight.
        memory: bytes of all answers kept.
        max_entry_bytes: bytes of one answer; a larger answer is not stored.
        collections: sorted; the settings of single collections.
        epoch: another number than before if the stored answers must be dropped, because the endpoints were replaced.
    """

    policy: ObjectRef | None
    staleness_bound: float
    eventual_bound: float
    fill_lag: float
    max_wait: float
    memory: int
    max_entry_bytes: int
    collections: tuple[CachedCollection, ...] = ()
    epoch: int = 0
