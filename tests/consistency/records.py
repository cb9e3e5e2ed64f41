"""
What clients recorded: writes with their acknowledgements, changes of what a name stands for, and what each read saw.

A *name* is what a read asks: ``A/default/moving`` is the name ``moving`` in the database ``default`` of the Milvus ``A``.
A *collection* is what it stands for at the time: ``A/default/cycling#3`` is the third one made under that name.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import IntEnum

Key = int
"""A primary key: unlike any other in any collection of the run."""

ALLOWED = "allowed"
"""What a user's access to a name (`access_name`) stands for while the user may read it."""

CACHED = frozenset({"hit", "joined"})
"""The words of ``kiteway-cache`` for an answer that was not made for this call."""


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


def access_name(user: str, name: str) -> str:
    """Return the name under which changes of a user's access to a name are recorded."""
    return f"{user} reads {name}"


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
class Change:
    """
    A structural call that changes what a name stands for: a move of an alias, a drop, a rename, a grant, a revocation.

    Attributes:
        name: a name, or an `access_name`.
        target: the collection from then on, or `ALLOWED`; None: nothing.
        sent, acknowledged: in seconds; without an acknowledgement it is not known whether it was done.
        through: the arm that it was sent through.
    """

    name: str
    target: str | None
    sent: float
    acknowledged: float | None = None
    through: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """
    What makes two reads equal but for their level.

    Attributes:
        arm: the balancer that the read goes through.
        user: who asks.
        name: what is asked.
        method: Search or Query.
        expression: which rows are asked for.
    """

    arm: str
    user: str
    name: str
    method: str
    expression: str


@dataclass(frozen=True, slots=True)
class Read:
    """
    A read that was answered well.

    Attributes:
        block: all rows with this block were asked for.
        guarantee: the timestamp sent, or 0.
        sent, received: in seconds.
        keys: what it saw.
        outcome: the word of ``kiteway-cache``; empty without this header.
        age: the seconds that this header states, if it does.
    """

    question: Question
    block: int
    level: Level
    guarantee: int
    sent: float
    received: float
    keys: frozenset[Key]
    outcome: str = ""
    age: float | None = None

    @property
    def cached(self) -> bool:
        """Whether the answer was made for another call."""
        return self.outcome in CACHED


@dataclass(frozen=True, slots=True)
class Lost:
    """A read without an answer: its client gave up, or the connection broke. The answer may be in a cache."""

    question: Question
    sent: float
    ended: float


@dataclass
class Recorded:
    """
    Everything of one run.

    Attributes:
        levels: the default level of each collection.
        failed: calls that got no good answer, by arm.
        refused: calls that Milvus refused because of a change: the name or the right was gone.
        reasons: why the cache had nothing to do with reads, and with how many.
    """

    levels: dict[str, Level]
    writes: list[Write] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)
    failed: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
