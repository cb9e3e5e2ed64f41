"""Random histories with few names and few distances in time, so that operations interact."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from tests.cache.conditions import SETTLE
from tests.cache.history import (
    PROXIES,
    Change,
    Failover,
    History,
    Level,
    Operation,
    Read,
    Replacement,
    Sample,
    Suspension,
    Write,
)
from tests.cache.milvus import KINDS

T = TypeVar("T")

PAUSES = (0, 1, 5, 20, 100, 400, 900, 1001, 2000, 3000, 4000, 4990, 5001)
"""From one operation to the next, in ms: around F and B, and much shorter."""

DELAYS = (1, 1, 1, 5, 50, 300, 1100, 2500, 6000)
"""Of a call on its way, in ms: mostly short, some longer than B."""

HEARD = (0, 0, 200, 900, SETTLE)
AHEAD = (-20_000, -4000)
"""Behind the same addresses another Milvus is never ahead, a failover included: the precondition of docs/design/cache.md."""

ANNOUNCED_AHEAD = (*AHEAD, 2000, 20_000)
WRITTEN = (100, 1000, 10_000)
LEADS = (100, 1500, 3000)
PARAMETERS = ((), (("nprobe", 1),), (("nprobe", 1), ("nprobe", 2)), (("nprobe", 2), ("nprobe", 1)))
_LEVEL_CHOICES: Sequence[Sequence[Level | None]] = (
    (Level.BOUNDED,),
    (None,),
    (Level.BOUNDED, Level.SESSION),
    (None, Level.SESSION),
    (Level.EVENTUALLY,),
    (*Level, None),
)


class _Theme:
    """The few choices that one history makes, drawn once, so that its operations concern the same things."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.pools = self._some((0, 1), 0.15)
        self.replicas = self._some((0, 1), 0.15)
        self.users = self._some((0, 1), 0.2)
        self.databases = self._some((0, 1), 0.25)
        self.kinds = (rng.choice(KINDS),) if rng.random() < 0.8 else KINDS
        self.names = ("a",) if self.kinds == ("alias",) else rng.choice((("c",), ("c",), ("c", "a"), ("c", "e")))
        self.levels: Sequence[Level | None] = rng.choice(_LEVEL_CHOICES)
        if self.kinds == ("level",):
            self.levels = (None,)
        self.guarantees = rng.choice(((None,), (None, 0), (None, 0, 1)))
        self.parameters = PARAMETERS if rng.random() < 0.1 else PARAMETERS[:1]
        self.methods = self._some(("Search", "Query"), 0.1)
        self.others = self._some((0, 1), 0.1)
        self.slow = rng.random() < 0.4
        # Both are rare by chance: a change that takes longer than B, and a default level that becomes Strong.
        self.long = rng.random() < 0.15
        self.strict = self.kinds == ("level",)
        self.late = rng.random() < 0.5

    def _some(self, values: Sequence[T], chance: float) -> Sequence[T]:
        return values if self._rng.random() < chance else values[:1]

    def delay(self) -> int:
        return self._rng.choice(DELAYS) if self.slow else 1


def history(rng: random.Random) -> History:
    """Draw a history."""
    theme = _Theme(rng)
    makers: dict[Callable[[random.Random, _Theme, int], Operation], float] = {_read: 6, _sample: 2, _write: 2}
    makers |= rng.choice(_DISTURBANCES)
    count = rng.randint(2, 18)
    kinds = rng.choices(list(makers), list(makers.values()), k=count)
    times = itertools.accumulate(
        (rng.choice(PAUSES[:7] if rng.random() < 0.6 else PAUSES) for _ in range(count)), initial=1001
    )
    # Most histories begin with a sample that is old enough for a fill: without one nothing is cached.
    begin = [Sample(0, replica, pool) for replica in theme.replicas for pool in theme.pools]
    operations = (*begin, *(make(rng, theme, at) for make, at in zip(kinds, times, strict=False)))
    levels = (rng.choice(tuple(Level)[:4]), rng.choice(tuple(Level)[:4]), rng.choice(tuple(Level)[:4]))
    return History(operations, levels if rng.random() < 0.3 else (Level.BOUNDED,) * 3)


def strangers(of: History) -> History:
    """Let strangers make every other change of a history, beginning with the first."""
    others = itertools.cycle((True, False))
    return replace(
        of,
        operations=tuple(
            replace(operation, stranger=next(others)) if isinstance(operation, Change) else operation
            for operation in of.operations
        ),
    )


def _read(rng: random.Random, theme: _Theme, at: int) -> Read:
    return Read(
        at,
        rng.choice(theme.replicas),
        rng.choice(theme.pools),
        rng.choice(theme.methods),
        rng.choice(theme.users),
        rng.choice(theme.databases),
        len(theme.databases) > 1 and rng.random() < 0.5,
        rng.choice(theme.names),
        rng.choice(theme.levels),
        rng.choice(theme.guarantees),
        rng.choice(theme.parameters),
        rng.choice(theme.others),
        rng.choice(theme.others),
        rng.choice((0, 0, 0, 0, 400, 2500)) if theme.slow else 0,
        rng.randrange(PROXIES),
        theme.delay(),
        6000 if theme.strict and rng.random() < 0.2 else theme.delay(),
        rng.random() < 0.05,
    )


def _sample(rng: random.Random, theme: _Theme, at: int) -> Sample:
    return Sample(at, rng.choice(theme.replicas), rng.choice(theme.pools), theme.delay(), theme.delay())


def _write(rng: random.Random, theme: _Theme, at: int) -> Write:
    database, name = rng.choice(theme.databases), rng.choice(theme.names)
    return Write(at, rng.choice(theme.pools), database, name, int(rng.random() < 0.1), theme.delay())


def _change(rng: random.Random, theme: _Theme, at: int) -> Change:
    return Change(
        at,
        rng.choice((*theme.replicas, *theme.replicas, None)),
        rng.choice(theme.pools),
        rng.choice(theme.kinds),
        rng.choice(theme.databases),
        rng.choice(theme.names),
        0 if theme.strict else rng.randrange(4),
        rng.choice(("success", "success", "success", "refused", "uncertain", "silent")),
        rng.choice((6000, 9000)) if theme.long else theme.delay(),
        theme.delay(),
        tuple(rng.choice(HEARD) for _ in range(PROXIES)) if theme.late else (0,) * PROXIES,
    )


def _failover(rng: random.Random, theme: _Theme, at: int) -> Failover:
    return Failover(at, rng.choice(theme.pools), rng.choice(LEADS))


def _replacement(rng: random.Random, theme: _Theme, at: int) -> Replacement:
    announced = rng.random() < 0.5
    return Replacement(
        at, rng.choice(theme.pools), rng.choice(ANNOUNCED_AHEAD if announced else AHEAD), announced, rng.choice(WRITTEN)
    )


def _suspension(rng: random.Random, theme: _Theme, at: int) -> Suspension:
    return Suspension(at, rng.choice(theme.replicas), rng.choice((1000, 4000)))


_DISTURBANCES: Sequence[dict[Callable[[random.Random, _Theme, int], Operation], float]] = (
    {},
    {_change: 2},
    {_change: 3},
    {_change: 1, _failover: 0.5, _replacement: 0.5, _suspension: 0.5},
    {_failover: 1},
    {_replacement: 1},
    {_suspension: 1},
)
