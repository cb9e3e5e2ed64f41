"""
Milvus as the cache assumes it, in simulated milliseconds.

An answer for the guarantee `a` holds the rows with timestamps up to `a` and no other: the least that Milvus may give,
so what the cache makes of it is the worst case. Proxies hear of structural changes late, each at its own time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from tests.cache.history import PROXIES, Change, Level, Read

GRACEFUL = 5000
"""``common.gracefulTime``: how old a Bounded answer may be, in ms."""

_STEP = 50
_LOGICAL_BITS = 18
_EVENTUALLY = 1

Name = tuple[int, str]
"""A database and a collection or alias in it."""


class View(NamedTuple):
    """
    What a read is answered from.

    Attributes:
        collection: unlike any other, of any cluster, that there ever was.
        version: of its schema.
        truncated: rows up to this timestamp are gone.
        partitions: those that are loaded.
    """

    collection: int
    version: int
    truncated: int
    partitions: frozenset[int]


@dataclass(frozen=True, slots=True)
class Catalog:
    """Names, collections with their default levels, and who may read."""

    names: dict[Name, int]
    views: dict[int, View]
    levels: dict[int, Level]
    users: frozenset[int]

    def view(self, name: Name, user: int) -> View | None:
        """Return what this user's read of that name is answered from; None where it is refused."""
        found = self.views.get(self.names.get(name, -1))
        return found if found is not None and found.partitions and user in self.users else None


class Row(NamedTuple):
    """A write: when it was acknowledged, in ms, and where it is."""

    timestamp: int
    acknowledged: int
    partition: int


class Answer(NamedTuple):
    """
    What Milvus answered.

    Attributes:
        good: whether it is an answer at all, and not an error in band.
        view: what it was answered from.
        upto: it holds every row up to this timestamp.
        question: everything beside the names and the guarantee that an answer depends on.
        at: when a proxy took the read, in ms.
    """

    good: bool
    view: View | None
    upto: int
    question: tuple[object, ...]
    at: int


@dataclass(slots=True)
class State:
    """
    A catalogue from one change to the next.

    Attributes:
        since: when Milvus carried the change out, in ms.
        heard: when each proxy heard of it.
        change: what was changed; None at the beginning and when the whole cluster was replaced.
        seen: when the replica that it passed through saw it.
        ended: when that replica released its answer, if one came.
        shown: when each replica learned that this is another cluster.
    """

    since: int
    heard: tuple[int, ...]
    cluster: Cluster
    catalog: Catalog
    change: Change | None = None
    seen: int = 0
    ended: int | None = None
    shown: dict[int, int] = field(default_factory=dict)


class Cluster:
    """One Milvus: its oracle of timestamps."""

    def __init__(self, ahead: int) -> None:
        """Set the wall clock `ahead` ms of all other clocks."""
        self.ahead = ahead
        self._floor = 0
        self._last = 0

    def allocate(self, now: int) -> int:
        """Return the next timestamp: the physical part moves in steps, and never goes back."""
        physical = max((1_000_000 + now + self.ahead) // _STEP * _STEP, self._floor)
        self._last = max(physical << _LOGICAL_BITS, self._last + 1)
        return self._last

    def fail_over(self, now: int, lead: int) -> None:
        """Let timestamps lead the wall clock, and stand still until it has caught up."""
        self._floor = max(self._floor, (1_000_000 + now + self.ahead + lead) // _STEP * _STEP)

    def bounded(self, now: int) -> int:
        """Return the guarantee of a Bounded read: the proxy's wall clock less the graceful time."""
        return (1_000_000 + now + self.ahead - GRACEFUL) << _LOGICAL_BITS


class Call(NamedTuple):
    """
    A read under way to a proxy.

    Attributes:
        cluster: whose proxy it was sent to.
        level: the level it carries; None sets ``use_default_consistency``.
        guarantee: the timestamp it carries.
    """

    cluster: Cluster
    level: Level | None
    guarantee: int


def stated(level: Level, sent: int) -> Level:
    """Return the level that Milvus takes from a request that states one; SDKs of old send 0 and a guarantee."""
    if level is not Level.STRONG or not sent:
        return level
    return {1: Level.EVENTUALLY, 2: Level.BOUNDED}.get(sent, Level.CUSTOMIZED)


def guarantee(level: Level, sent: int, now: int, cluster: Cluster) -> int:
    """Return the timestamp that Milvus makes of a level and the guarantee that was sent."""
    match level:
        case Level.STRONG:
            return cluster.allocate(now)
        case Level.BOUNDED:
            return cluster.bounded(now)
        case Level.EVENTUALLY:
            return _EVENTUALLY
        case _:
            return sent


class Pool:
    """The Milvus behind a pool, with its past."""

    def __init__(self, pool: int, ahead: int, levels: tuple[Level, ...]) -> None:
        """Begin with the collections c in both databases and e in the first, and an alias a of its c."""
        self._pool = pool
        self._levels = levels
        self._collections = 1000 * pool
        self.cluster = Cluster(ahead)
        self._rows: dict[int, list[Row]] = {}
        self._written: list[Row] = []
        self.states = [State(0, (0,) * PROXIES, self.cluster, self._catalog())]

    def replace(self, now: int, ahead: int, written: int) -> State:
        """Put another Milvus in the place of this one, whose rows are `written` ms old."""
        self.cluster = Cluster(self.cluster.ahead + ahead)
        self._written = []
        self.states.append(State(now, (now,) * PROXIES, self.cluster, self._catalog()))
        for name in self.states[-1].catalog.names:
            self.write(now - written, name, 0, now - written)
        return self.states[-1]

    def change(self, now: int, change: Change) -> State | None:
        """Carry a change out; None if there is nothing that it could change."""
        before = self.states[-1]
        catalog = apply(before.catalog, change, self._next_collection, self.cluster.allocate(now))
        if catalog is None:
            return None
        # A proxy that has heard of this change has heard of those before it.
        heard = tuple(max(now + late, last) for late, last in zip(change.heard, before.heard, strict=True))
        self.states.append(State(now, heard, self.cluster, catalog, change))
        return self.states[-1]

    def known(self, proxy: int, now: int, cluster: Cluster) -> State:
        """Return the state that a proxy of that cluster knows."""
        return next(s for s in reversed(self.states) if s.cluster is cluster and s.heard[proxy] <= now)

    def write(self, now: int, name: Name, partition: int, acknowledged: int) -> None:
        """Add a row."""
        collection = self.states[-1].catalog.names.get(name)
        if collection is not None:
            row = Row(self.cluster.allocate(now), acknowledged, partition)
            self._rows.setdefault(collection, []).append(row)
            self._written.append(row)

    def rows(self, view: View) -> list[Row]:
        """Return the rows that a view holds, whatever the guarantee."""
        found = self._rows.get(view.collection, ())
        return [row for row in found if row.timestamp > view.truncated and row.partition in view.partitions]

    def newest(self, now: int, back: int) -> int:
        """Return the timestamp of an acknowledged write, counted back from the newest; 0 if there are not so many."""
        found = sorted(row.timestamp for row in self._written if row.acknowledged <= now)
        return found[-1 - back] if back < len(found) else 0

    def read(self, now: int, read: Read, call: Call) -> Answer:
        """Answer a read; what `call` says goes before what the client sent."""
        level = call.level
        state = self.known(read.proxy, now, call.cluster)
        name = (read.database, read.name)
        view = state.catalog.view(name, read.user)
        asked = question(self._pool, read)
        if view is None or read.fails:
            return Answer(False, None, 0, asked, now)
        level = state.catalog.levels[view.collection] if level is None else stated(level, call.guarantee)
        upto = guarantee(level, call.guarantee, now, state.cluster)
        # A guarantee beyond what was ever allocated is waited for in vain.
        return Answer(upto <= state.cluster.allocate(now), view, upto, asked, now)

    def describe(self, now: int, read: Read, cluster: Cluster) -> Level | None:
        """Return the default level of the collection that a read names, as its proxy knows it."""
        catalog = self.known(read.proxy, now, cluster).catalog
        view = catalog.view((read.database, read.name), read.user)
        return catalog.levels[view.collection] if view else None

    def _next_collection(self) -> int:
        self._collections += 1
        return self._collections

    def _catalog(self) -> Catalog:
        names = {
            (0, "c"): self._next_collection(),
            (1, "c"): self._next_collection(),
            (0, "e"): self._next_collection(),
        }
        levels = dict(zip(names.values(), self._levels, strict=True))
        views = {collection: View(collection, 0, 0, frozenset({0})) for collection in levels}
        return Catalog(names | {(0, "a"): names[0, "c"]}, views, levels, frozenset({0, 1}))


def question(pool: int, read: Read) -> tuple[object, ...]:
    """Return everything beside the names and the guarantee that the answer of a read depends on."""
    parameters = tuple(sorted(dict(read.parameters).items()))
    return pool, read.method, read.user, parameters, read.unknown, read.header


KINDS = ("recreate", "drop", "rename", "truncate", "alias", "schema", "level", "release", "load", "revoke")
"""The kinds of structural changes."""


def apply(catalog: Catalog, change: Change, next_collection: Callable[[], int], timestamp: int) -> Catalog | None:
    """Return the catalogue after a change; None if it does not apply."""
    if change.kind == "revoke":
        return replace(catalog, users=catalog.users - {change.target})
    if change.kind == "alias":
        target = catalog.names.get((0, "e" if change.target else "c"))
        return None if target is None else replace(catalog, names=catalog.names | {(0, "a"): target})
    name = (change.database, change.name)
    collection = catalog.names.get(name)
    if collection is None:
        return None
    others = {other: target for other, target in catalog.names.items() if other != name}
    match change.kind:
        case "recreate":
            fresh = next_collection()
            return replace(
                catalog,
                names=others | {name: fresh},
                views=catalog.views | {fresh: View(fresh, 0, 0, frozenset({0}))},
                levels=catalog.levels | {fresh: catalog.levels[collection]},
            )
        case "drop":
            return replace(catalog, names=others)
        case "rename":
            new = (change.target, "e" if change.name == "c" else "c")
            return None if new in others else replace(catalog, names=others | {new: collection})
        case "level":
            return replace(catalog, levels=catalog.levels | {collection: Level(change.target % 4)})
        case _:
            view = _altered(catalog.views[collection], change.kind, timestamp)
            return replace(catalog, views=catalog.views | {collection: view})


def _altered(view: View, kind: str, timestamp: int) -> View:
    match kind:
        case "truncate":
            return view._replace(truncated=timestamp)
        case "schema":
            return view._replace(version=view.version + 1)
        case "release":
            return view._replace(partitions=frozenset())
        case "load":
            return view._replace(partitions=frozenset({0, 1}))
        case _:
            raise AssertionError(kind)
