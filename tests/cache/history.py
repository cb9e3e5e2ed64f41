"""A history: what clients, the oracle of timestamps and the machines do, with every choice of the network made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from enum import IntEnum
from typing import Any, cast

PROXIES = 2
REPLICAS = 2
POOLS = 2


class Level(IntEnum):
    """Milvus's consistency levels, by their numbers on the wire."""

    STRONG = 0
    SESSION = 1
    BOUNDED = 2
    EVENTUALLY = 3
    CUSTOMIZED = 4


@dataclass(frozen=True, slots=True)
class Read:
    """
    A Search or Query.

    Attributes:
        at: when its headers reach the replica, in ms; `upload` later it is received completely.
        level: the level it carries; None sets ``use_default_consistency``.
        write: the guarantee is the timestamp of that acknowledged write, counted back from the newest; None sends 0.
        database: the ``db_name``; with `by_header` it is the ``dbname`` header instead.
        parameters: ``search_params`` in their order; Milvus takes the last value of a name.
        unknown: the value of a field that Kiteway does not know and Milvus does.
        header: the value of a header that Kiteway does not know and Milvus, or who stands before it, does.
        proxy: who gets it, should it be sent.
        up, down: ms to the proxy and back.
        fails: Milvus answers it with an error in band.
        unseen: it is sent as it is, and the cache is not asked, as for a new question of one who seldom repeats a question.
    """

    at: int
    replica: int = 0
    pool: int = 0
    method: str = "Search"
    user: int = 0
    database: int = 0
    by_header: bool = False
    name: str = "c"
    level: Level | None = Level.BOUNDED
    write: int | None = None
    parameters: tuple[tuple[str, int], ...] = ()
    unknown: int = 0
    header: int = 0
    upload: int = 0
    proxy: int = 0
    up: int = 1
    down: int = 1
    fails: bool = False
    unseen: bool = False


@dataclass(frozen=True, slots=True)
class Sample:
    """An AllocTimestamp, sent by a replica at `at`; the timestamp is taken `up` ms later."""

    at: int
    replica: int = 0
    pool: int = 0
    up: int = 1
    down: int = 1


@dataclass(frozen=True, slots=True)
class Write:
    """A row, through whomever: its timestamp is taken at `at`, and it is acknowledged `ack` ms later."""

    at: int
    pool: int = 0
    database: int = 0
    name: str = "c"
    partition: int = 0
    ack: int = 1


@dataclass(frozen=True, slots=True)
class Change:
    """
    A structural change.

    Attributes:
        at: when it is seen by the replica, or sent elsewhere, in ms.
        replica: the replica that it passes through; None is elsewhere.
        kind: see `tests.cache.milvus.apply`.
        target: what the kind needs: a level, a database, a user.
        outcome: ``success``, ``refused`` (a definite error: nothing changes), ``uncertain`` (an error that says
            nothing certain, though it is carried out), ``silent`` (carried out, but no answer comes).
        commit: ms until Milvus carries it out.
        answer: ms from there until the answer reaches the replica.
        heard: ms from there until each proxy has heard of it; at most `tests.cache.conditions.SETTLE`.
        stranger: Milvus has not answered the caller well before.
    """

    at: int
    replica: int | None = 0
    pool: int = 0
    kind: str = "recreate"
    database: int = 0
    name: str = "c"
    target: int = 0
    outcome: str = "success"
    commit: int = 1
    answer: int = 1
    heard: tuple[int, ...] = (0,) * PROXIES
    stranger: bool = False


@dataclass(frozen=True, slots=True)
class Failover:
    """The oracle of timestamps fails over: they lead the wall clock by `lead` ms and stand still until it catches up."""

    at: int
    pool: int = 0
    lead: int = 3000


@dataclass(frozen=True, slots=True)
class Replacement:
    """
    Another Milvus stands behind the pool, with its own catalogue and a row in each collection.

    Attributes:
        written: how long ago its rows were acknowledged, in ms.
        ahead: how far its wall clock is ahead of that of the one before, in ms.
        announced: the replicas learn that their endpoints were replaced wholly; else it has the same addresses.
    """

    at: int
    pool: int = 0
    ahead: int = -20_000
    announced: bool = False
    written: int = 10_000


@dataclass(frozen=True, slots=True)
class Suspension:
    """A replica's machine sleeps for `duration` ms; what reaches it meanwhile is handled when it wakes."""

    at: int
    replica: int = 0
    duration: int = 4000


Operation = Read | Sample | Write | Change | Failover | Replacement | Suspension


@dataclass(frozen=True, slots=True)
class History:
    """
    What happens.

    Attributes:
        operations: in order of `at`.
        levels: the default level of each collection: d0.c, d1.c, d0.e.
        ahead: how far each pool's timestamps are ahead of the wall clock, in ms.
    """

    operations: tuple[Operation, ...]
    levels: tuple[Level, ...] = (Level.BOUNDED,) * 3
    ahead: tuple[int, ...] = (0, -9000)


def source(value: object) -> str:
    """Write a history, or an operation, as the Python expression that makes it, without what is as usual."""
    match value:
        case Level():
            return f"Level.{value.name}"
        case tuple():
            inner = "".join(f"{source(item)}, " for item in value)
            return f"({inner if len(value) == 1 else inner[:-2]})"
        case Read() | Sample() | Write() | Change() | Failover() | Replacement() | Suspension() | History():
            first, *others = fields(value)
            changed = [
                f"{f.name}={source(getattr(value, f.name))}" for f in others if getattr(value, f.name) != f.default
            ]
            return f"{type(value).__name__}({', '.join([source(getattr(value, first.name)), *changed])})"
        case _:
            return repr(value)


def simpler(history: History) -> Iterator[History]:
    """Return the history without one operation, or with one field of one operation as usual."""
    operations = history.operations
    for i in range(len(operations)):
        yield replace(history, operations=operations[:i] + operations[i + 1 :])
    for field in fields(history)[1:]:
        if getattr(history, field.name) != field.default:
            yield replace(history, **cast("Any", {field.name: field.default}))
    for i, operation in enumerate(operations):
        for field in fields(operation)[1:]:
            if getattr(operation, field.name) != field.default:
                usual = replace(cast("Any", operation), **{field.name: field.default})
                yield replace(history, operations=(*operations[:i], usual, *operations[i + 1 :]))
