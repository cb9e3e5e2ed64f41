"""The cache of a pool: whether it is on, and what it has done."""

from __future__ import annotations

import msgspec


class CacheCounts(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """
    What the filter has counted since Envoy's start, and what it keeps.

    Attributes:
        hit: reads that were answered from the cache.
        joined: reads that were answered with the answer to an equal read in flight.
        miss: reads that were sent to Milvus in a form whose answer may be kept.
        bypass: reads that were sent to Milvus as they are, by the reason.
        share: the share of the reads that were hits or joined, 0 to 1; null without a read.
        bytes: bytes that the answers take.
        entries: stored answers.
        generation: how often everything was dropped.
        closed: whether nothing is answered or kept now, because of a call that changes collections or privileges.
        sample_age: seconds since the newest timestamp was requested from Milvus; null without one.
        headers: request headers that keep answers apart although they are not known to matter.
    """

    hit: int
    joined: int
    miss: int
    bypass: dict[str, int]
    share: float | None
    bytes: int
    entries: int
    generation: int
    closed: bool
    sample_age: float | None
    headers: tuple[str, ...]

    @property
    def reads(self) -> int:
        """All reads by gRPC that came to the pool."""
        return self.hit + self.joined + self.miss + sum(self.bypass.values())


class CacheReport(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """
    The cache of a pool.

    Attributes:
        on: whether it is in force.
        why: why it is off; empty if it is on.
        policy: NAMESPACE/NAME of the MilvusPolicy that turns it on; null without one, for example because `--cache` does.
        memory: bytes that its answers may take; null if it is off.
        counts: null if it is off, and while Envoy does not answer.
    """

    on: bool = False
    why: str = ""
    policy: str | None = None
    memory: int | None = None
    counts: CacheCounts | None = None
