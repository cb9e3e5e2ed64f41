"""What clients recorded: writes with their acknowledgements, moves of the alias, and what each read saw."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import IntEnum

Key = int
"""A primary key: unlike any other in any collection of the run."""


class Level(IntEnum):
    """Milvus's consistency levels, by their numbers on the wire; `DEFAULT` sets ``use_default_consistency``."""

    STRONG = 0
    SESSION = 1
    BOUNDED = 2
    EVENTUALLY = 3
    CUSTOMIZED = 4
    DEFAULT = -1


def now() -> float:
    """Return seconds on a clock that counts suspend; one machine runs all clients."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(slots=True)
class Write:
    """
    An Insert of one row.

    Attributes:
        collection: where it went.
        block: the value of the field that reads ask for.
        acknowledged: when the answer was here, in seconds; None: no good answer came, and the row may be there or not.
        timestamp: Milvus's own, from the answer.
    """

    collection: str
    block: int
    key: Key
    acknowledged: float | None = None
    timestamp: int = 0


@dataclass(slots=True)
class Move:
    """An AlterAlias: when it was sent, and when its good answer was here (None: nobody knows whether it was done)."""

    alias: str
    collection: str
    sent: float
    acknowledged: float | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """
    A read that was answered well.

    Attributes:
        arm: the balancer that it went through.
        method: Search or Query.
        name: a collection or an alias.
        block: all rows with this block were asked for.
        guarantee: the timestamp sent, or 0.
        sent, received: in seconds.
        keys: what it saw.
        outcome: what ``kiteway-cache`` says of it; empty without this header.
    """

    arm: str
    method: str
    name: str
    block: int
    level: Level
    guarantee: int
    sent: float
    received: float
    keys: frozenset[Key]
    outcome: str = ""


@dataclass
class Recorded:
    """
    Everything of one run.

    Attributes:
        levels: the default level of each collection.
        failed: reads that got no good answer, by arm.
    """

    levels: dict[str, Level]
    writes: list[Write] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    failed: dict[str, int] = field(default_factory=dict)
