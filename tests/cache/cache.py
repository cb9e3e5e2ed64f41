"""The cache of one replica, as docs/design/cache.md defines it; each condition applies unless it is dropped."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.cache.conditions import BOUND, EVENTUAL_BOUND, FILL_LAG, SETTLE, Condition, Dropped
from tests.cache.history import Level, Read
from tests.cache.milvus import Answer, stated

Key = tuple[object, ...] | int

STRUCTURAL = {
    "recreate": Condition.STRUCTURAL_DROP,
    "drop": Condition.STRUCTURAL_DROP,
    "rename": Condition.STRUCTURAL_RENAME,
    "truncate": Condition.STRUCTURAL_TRUNCATE,
    "alias": Condition.STRUCTURAL_ALIAS,
    "schema": Condition.STRUCTURAL_ALTER,
    "level": Condition.STRUCTURAL_ALTER,
    "release": Condition.STRUCTURAL_RELEASE,
    "revoke": Condition.STRUCTURAL_RBAC,
}
"""The condition that makes a kind of change structural; a kind without one is not."""


class Request(NamedTuple):
    """
    A read received completely.

    Attributes:
        guarantee: the timestamp it carries, or 0.
        begun, now: when its headers came and when it was complete, by the replica's clock, in ms.
    """

    read: Read
    guarantee: int
    begun: int
    now: int


class Label(NamedTuple):
    """What an answer holds: every write acknowledged before `sent`, and every one up to `upto`."""

    sent: int
    upto: int


class Entry(NamedTuple):
    """An answer that is kept, and the generation of its send."""

    label: Label
    generation: int
    answer: Answer


@dataclass(slots=True, eq=False)
class Flight:
    """A fill under way, with the numbers of the reads that wait for it."""

    key: Key
    label: Label
    generation: int
    followers: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Forward:
    """
    Send the read to Milvus.

    Attributes:
        level, guarantee: what it carries there; see `tests.cache.milvus.Call`.
        flight: what becomes of the answer; None: nothing is kept.
        rewritten: whether level and guarantee are other than the client's.
        learn: send a DescribeCollection beside it.
    """

    level: Level | None
    guarantee: int
    flight: Flight | None = None
    rewritten: bool = False
    learn: bool = False


@dataclass(slots=True)
class _Pool:
    generation: int = 0
    closed: dict[int, int] = field(default_factory=dict)
    """The structural calls under way, and until when each of them closes the generation."""
    closed_until: int = -1
    samples: list[tuple[int, int]] = field(default_factory=list)
    last: int = 0
    endpoints: int = 0

    def open(self, now: int) -> bool:
        return now > self.closed_until and all(now > until for until in self.closed.values())


class Replica:
    """One process of Kiteway: a store, the calls in flight, learned levels, and a state for each pool."""

    def __init__(self, pools: int, dropped: Dropped) -> None:
        """Begin with nothing in store."""
        self._dropped = dropped
        self._pools = [_Pool() for _ in range(pools)]
        self._store: dict[Key, Entry] = {}
        self._flights: dict[Key, list[Flight]] = {}
        self._levels: dict[tuple[object, ...], tuple[Level, int, int]] = {}

    def receive(self, request: Request) -> Entry | Flight | Forward:
        """Decide about a read: a hit, a call to join, or what to send."""
        read, pool = request.read, self._pools[request.read.pool]
        as_it_is = Forward(read.level, request.guarantee)
        level = self._level(request)
        if level is None:
            return Forward(read.level, request.guarantee, learn=True)
        key = self.key(read, eventual=level is Level.EVENTUALLY)
        strong = level is Level.STRONG
        entry = self._store.get(key)
        if entry and self._may_hit(request, level, entry) and (not strong or self._without(Condition.STRONG_HIT)):
            return entry
        for flight in reversed(self._flights.get(key, ())):
            if self._may_join(request, level, flight) and (not strong or self._without(Condition.STRONG_JOIN)):
                return flight
        if strong or not (pool.open(request.now) or self._without(Condition.FILL_OPEN)):
            return as_it_is
        if level is Level.EVENTUALLY:
            flight = Flight(key, Label(request.now, 0), pool.generation)
            found = Forward(read.level, request.guarantee, flight)
        else:
            found = self._fill(request, key) or as_it_is
        if found.flight:
            self._flights.setdefault(key, []).append(found.flight)
        return found

    def answered(self, read: Read, flight: Flight, answer: Answer, now: int) -> bool:
        """Store an answer if it may be stored; return whether it serves the followers."""
        self._flights[flight.key].remove(flight)
        generation = self._pools[read.pool].generation
        same = flight.generation == generation or self._without(Condition.FILL_GENERATION)
        if same and (answer.good or self._without(Condition.FILL_GOOD)):
            label = flight.label
            if self._without(Condition.EVENTUAL_SEND) and not label.upto:
                label = Label(now, 0)
            self._store[flight.key] = Entry(label, generation, answer)
        return answer.good or self._without(Condition.JOIN_GOOD)

    def sampling(self, pool: int) -> int:
        """Return what `sampled` wants to know of the moment at which an AllocTimestamp is sent."""
        return self._pools[pool].endpoints

    def sampled(self, number: int, endpoints: int, sent: int, now: int, timestamp: int) -> None:
        """Take the answer to an AllocTimestamp that was sent at `sent`."""
        pool = self._pools[number]
        if endpoints != pool.endpoints and not self._without(Condition.SAMPLE_ENDPOINTS):
            return
        if timestamp < pool.last and not self._without(Condition.SAMPLE_BACK):
            pool.generation += 1
            pool.samples.clear()
        pool.last = timestamp
        pool.samples.append((now if self._without(Condition.SAMPLE_SEND) else sent, timestamp))

    def replaced(self, number: int) -> None:
        """Learn that the endpoints of a pool were replaced wholly."""
        pool = self._pools[number]
        pool.endpoints += 1
        if not self._without(Condition.BUMP_ENDPOINTS):
            pool.generation += 1
        if not self._without(Condition.SAMPLE_ENDPOINTS):
            pool.samples.clear()
            pool.last = 0

    def learning(self, read: Read, now: int) -> int | None:
        """Return the generation for `learned`; None if what would be learned now is not kept."""
        pool = self._pools[read.pool]
        return pool.generation if pool.open(now) or self._without(Condition.LEVEL_OPEN) else None

    def learned(self, read: Read, level: Level, generation: int, sent: int, now: int) -> None:
        """Take the answer to a DescribeCollection that was sent at `sent`."""
        self._levels[self.headers(read)] = (level, now if self._without(Condition.LEVEL_SEND) else sent, generation)

    def seen(self, pool: int, call: int, kind: str, now: int, *, stranger: bool) -> None:
        """See a call before it is sent to Milvus; that of a stranger closes nothing, for Milvus may refuse it."""
        if self._structural(kind) and not stranger and not self._without(Condition.CLOSE_SEEN):
            self._pools[pool].closed[call] = now + BOUND

    def ended(self, number: int, call: int, kind: str, outcome: str, now: int) -> None:
        """See the answer of a call."""
        if not self._structural(kind):
            return
        pool = self._pools[number]
        pool.closed.pop(call, None)
        if self._without(Condition.CLOSE_OVERLAP):
            pool.closed.clear()
            pool.closed_until = -1
        if outcome == "refused" or (outcome == "uncertain" and self._without(Condition.BUMP_UNCERTAIN)):
            return
        if not self._without(Condition.BUMP_SUCCESS):
            pool.generation += 1
        if not self._without(Condition.SETTLE_CLOSED):
            pool.closed_until = now + SETTLE

    def headers(self, read: Read) -> tuple[object, ...]:
        """Return what a learned level belongs to."""
        if self._without(Condition.LEVEL_HEADERS):
            return read.pool, 0 if read.by_header else read.database, read.name
        return read.pool, read.database, read.by_header, read.name, read.user, read.header

    def key(self, read: Read, *, eventual: bool) -> Key:
        """Return the key of a read's answer."""
        parameters = read.parameters
        if self._without(Condition.KEY_ORDER) or len(dict(parameters)) == len(parameters):
            parameters = tuple(sorted(parameters))
        parts = {
            Condition.EVENTUAL_APART: eventual,
            Condition.KEY_POOL: read.pool,
            Condition.KEY_METHOD: read.method,
            Condition.KEY_DATABASE: (read.database, read.by_header),
            Condition.KEY_COLLECTION: read.name,
            Condition.KEY_PARAMETERS: parameters,
            Condition.KEY_UNKNOWN: read.unknown,
            Condition.KEY_AUTHORIZATION: read.user,
            Condition.KEY_HEADERS: read.header,
        }
        key = tuple(value for condition, value in parts.items() if condition not in self._dropped)
        return zlib.crc32(repr(key).encode()) % 8 if self._without(Condition.KEY_DIGEST) else key

    def _without(self, condition: Condition) -> bool:
        return condition in self._dropped

    def _structural(self, kind: str) -> bool:
        condition = STRUCTURAL.get(kind)
        return condition is not None and condition not in self._dropped

    def _level(self, request: Request) -> Level | None:
        if request.read.level is not None:
            return stated(request.read.level, request.guarantee)
        level, sent, generation = self._levels.get(self.headers(request.read), (None, 0, 0))
        expired = request.now - sent > BOUND and not self._without(Condition.LEVEL_EXPIRES)
        same = generation == self._pools[request.read.pool].generation or self._without(Condition.LEVEL_GENERATION)
        if level is None or expired or not same:
            return Level.BOUNDED if self._without(Condition.LEVEL_UNKNOWN) else None
        return level

    def _may_hit(self, request: Request, level: Level, entry: Entry) -> bool:
        pool = self._pools[request.read.pool]
        now = request.begun if self._without(Condition.HIT_COMPLETE) else request.now
        bound = EVENTUAL_BOUND if level is Level.EVENTUALLY else BOUND
        own = Condition.HIT_DEFAULT_GUARANTEE if request.read.level is None else Condition.HIT_GUARANTEE
        return (
            (now - entry.label.sent <= bound or self._without(Condition.HIT_AGE))
            and (not request.guarantee or entry.label.upto >= request.guarantee or self._without(own))
            and (entry.generation == pool.generation or self._without(Condition.HIT_GENERATION))
            and (pool.open(request.now) or self._without(Condition.HIT_OPEN))
        )

    def _may_join(self, request: Request, level: Level, flight: Flight) -> bool:
        pool = self._pools[request.read.pool]
        bound = EVENTUAL_BOUND if level is Level.EVENTUALLY else BOUND
        enough = not request.guarantee or flight.label.upto >= request.guarantee
        return (
            (request.now - flight.label.sent <= bound or self._without(Condition.JOIN_AGE))
            and (enough or self._without(Condition.JOIN_GUARANTEE))
            and (flight.generation == pool.generation or self._without(Condition.JOIN_GENERATION))
            and (pool.open(request.now) or self._without(Condition.JOIN_OPEN))
        )

    def _fill(self, request: Request, key: Key) -> Forward | None:
        pools = self._pools if self._without(Condition.SAMPLE_POOL) else [self._pools[request.read.pool]]
        samples = [s for pool in pools for s in pool.samples if request.now - s[0] >= FILL_LAG]
        if not samples:
            return None
        sent, timestamp = max(samples)
        if request.now - sent > BOUND and not self._without(Condition.FILL_YOUNG):
            return None
        upto = timestamp if self._without(Condition.FILL_MAX) else max(timestamp, request.guarantee)
        label = Label(sent, upto)
        if self._without(Condition.FILL_LABEL):
            label = Label(request.now, upto)
        level = request.read.level or Level.BOUNDED if self._without(Condition.FILL_LEVEL) else Level.CUSTOMIZED
        return Forward(
            None if request.read.level is None and self._without(Condition.FILL_DEFAULT) else level,
            request.guarantee if self._without(Condition.FILL_GUARANTEE) else upto,
            Flight(key, label, self._pools[request.read.pool].generation),
            rewritten=True,
        )
