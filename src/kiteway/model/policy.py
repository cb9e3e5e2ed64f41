"""The effective MilvusPolicy of a route: limits, admission, hedging, replication and cache."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from kiteway.diagnostics import ObjectRef
from kiteway.model.cache import Cache


class LimitKey(enum.StrEnum):
    """The property that is the same for all calls that share one limit."""

    USER = "user"
    DATABASE = "database"
    COLLECTION = "collection"


@dataclass(frozen=True, slots=True)
class Limit:
    """
    One limit. It applies to each value of ``by`` (for example, to each user) separately.

    The figures are for all replicas of Kiteway together; a rate that is None has no limit.

    Attributes:
        by: what the calls that share the limit have in common, without repetitions.
        requests_per_second: calls a second.
        rows_per_second: rows a second.
        bytes_per_second: bytes of requests a second.
        in_flight: calls at the same time.
        burst: seconds' worth of a rate that may be used at once.
        names: the only names that the limit holds for; empty for all. Only with one key in ``by``.
        excluded: names that it does not hold for. Only with one key in ``by``.
    """

    by: tuple[LimitKey, ...]
    requests_per_second: int | None = None
    rows_per_second: int | None = None
    bytes_per_second: int | None = None
    in_flight: int | None = None
    burst: float = 1.0
    names: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for names with more than one key."""
        if len(self.by) != 1 and (self.names or self.excluded):
            raise ValueError(f"names with a limit by {self.by}")


ADAPTIVE: Final = "adaptive"
"""The limit of concurrent reads follows their latency."""


@dataclass(frozen=True, slots=True)
class Admission:
    """
    How many calls a pool works on at the same time, and how the others wait.

    ``reads`` and ``writes`` are for all replicas of Kiteway together, ``wait`` and ``queued_bytes`` for each replica.

    Attributes:
        reads: reads at the same time, `ADAPTIVE`, or None for no limit.
        writes: writes at the same time; None for no limit.
        wait: seconds that a call waits at most.
        queued_bytes: bytes of calls that wait at most.
    """

    reads: int | str | None
    writes: int | None
    wait: float
    queued_bytes: int


@dataclass(frozen=True, slots=True)
class PolicyOrigin:
    """Which MilvusPolicy a value comes from: ``policy`` is None for a default."""

    field: str
    policy: ObjectRef | None


_LIMIT_BYTES, _ADMISSION_BYTES, _HEDGING_BYTES = 128, 192, 64
_CACHE_BYTES, _COLLECTION_BYTES, _QUOTES = 384, 128, 3


@dataclass(frozen=True, slots=True)
class Policy:
    """
    The policy of a route.

    Attributes:
        limits: every limit holds.
        limits_scope: names what shares the limits' counts: routes with the same scope count together.
        admission: None: every call is admitted at once.
        admission_scope: names what shares the admission's queues.
        hedging_delay: seconds a read may have no answer before it goes to a second endpoint as well; None is never.
        allow_replication: whether the streams of replication are served (CreateReplicateStream, DumpMessages).
        cache: what its Service's policy says; `Pool.cache` is what is in force.
        origins: where each value comes from, in the order of the MilvusPolicy's fields.
    """

    limits: tuple[Limit, ...] = ()
    limits_scope: str = ""
    admission: Admission | None = None
    admission_scope: str = ""
    hedging_delay: float | None = None
    allow_replication: bool = False
    cache: Cache | None = None
    origins: tuple[PolicyOrigin, ...] = ()

    @property
    def for_filter(self) -> bool:
        """Whether it has limits or an admission, which only Kiteway's filter enforces and the replicas share."""
        return bool(self.limits) or self.admission is not None

    @property
    def size(self) -> int:
        """Bytes that a copy of it takes in Envoy, about: each route of Envoy's has one."""
        names = [name for limit in self.limits for name in (*limit.names, *limit.excluded)]
        size = _LIMIT_BYTES * len(self.limits)
        size += _ADMISSION_BYTES * (self.admission is not None) + _HEDGING_BYTES * (self.hedging_delay is not None)
        if self.cache is not None:
            size += _CACHE_BYTES + _COLLECTION_BYTES * len(self.cache.collections)
            names += [name for each in self.cache.collections for name in (each.database, each.collection)]
        return size + sum(len(name.encode()) + _QUOTES for name in names)


NO_POLICY: Final = Policy()
"""The policy of a route that no MilvusPolicy is about: nothing is changed."""


class PolicyReason(enum.StrEnum):
    """The reason of the condition Accepted, which a policy has for each target; the words are those of Gateway API."""

    ACCEPTED = "Accepted"
    CONFLICTED = "Conflicted"
    TARGET_NOT_FOUND = "TargetNotFound"
