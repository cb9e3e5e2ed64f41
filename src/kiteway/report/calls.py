"""What is counted of calls: the value of ``kiteway top --once --output json``."""

from __future__ import annotations

from typing import Final

import msgspec

SCHEMA_VERSION: Final = 1
"""It grows when a field is removed, renamed or changes its meaning or type; a field may be added without."""


class ReadOutcomes(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a cache did with reads by gRPC.

    Attributes:
        hit: reads that it answered.
        joined: reads that it answered with the answer to an equal read in flight.
        miss: reads that Milvus answered, whose answer may be kept.
        bypass: other reads that Milvus answered.
    """

    hit: int = 0
    joined: int = 0
    miss: int = 0
    bypass: int = 0

    @property
    def answered(self) -> int:
        """The reads that the cache answered."""
        return self.hit + self.joined

    @property
    def reads(self) -> int:
        """All reads."""
        return self.answered + self.miss + self.bypass

    def plus(self, other: ReadOutcomes, sign: int = 1) -> ReadOutcomes:
        """Return the sum, or with a ``sign`` of -1 the difference."""
        return ReadOutcomes(
            hit=self.hit + sign * other.hit,
            joined=self.joined + sign * other.joined,
            miss=self.miss + sign * other.miss,
            bypass=self.bypass + sign * other.bypass,
        )


class CallsRow(msgspec.Struct, frozen=True, kw_only=True):
    """
    The calls of a collection, an rpc, a user or an endpoint.

    Attributes:
        pool: the name of the pool's cluster in Envoy.
        database: in rows about collections and rpcs: the database; `(none)` for calls without one, `(other)` for those
            without a row of their own; else null.
        collection: the same: the collection.
        rpc: in rows about rpcs: the rpc; else null.
        user: in rows about users: the user; `(none)` for calls without credentials, `(other)` for users without a row of
            their own; else null.
        endpoint: in rows about endpoints: `HOST:PORT`; else null.
        calls: attempts at an endpoint, and reads that the cache answered.
        share: these as a share of all calls of the pool, 0 to 1.
        errors: how many of them ended with an error, by Milvus's code or the status of gRPC or HTTP.
        p50: their median time in seconds, from a histogram; null without calls, and above a minute.
        p99: the 99th percentile, in the same way.
        rows: rows written or found.
        bytes: of all messages, both ways.
        cache: what the cache did with the reads; null without any.
        waited: calls that had to wait for their turn.
        wait: how long they waited in seconds, on average; null without any.
        refused: calls that limits or the admission refused; they are not among `calls`.
    """

    pool: str
    database: str | None = None
    collection: str | None = None
    rpc: str | None = None
    user: str | None = None
    endpoint: str | None = None
    calls: int
    share: float
    errors: dict[str, int]
    p50: float | None
    p99: float | None
    rows: int
    bytes: int
    cache: ReadOutcomes | None
    waited: int
    wait: float | None
    refused: int

    @property
    def name(self) -> tuple[str, ...]:
        """What the row is about."""
        parts = (self.database, self.collection, self.rpc, self.user, self.endpoint)
        return tuple(part for part in parts if part is not None)

    @property
    def failed(self) -> int:
        """The number of calls that ended with an error."""
        return sum(self.errors.values())


class TopReport(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """
    The counts of calls since Envoy's start.

    Attributes:
        schema_version: the version of this document.
        by: what the rows are about: `collection`, `rpc`, `user` or `endpoint`.
        rows: the rows, sorted.
    """

    schema_version: int = SCHEMA_VERSION
    by: str
    rows: tuple[CallsRow, ...]
