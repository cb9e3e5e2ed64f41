"""
Judges, for every read, which acknowledged writes are missing and whether its level allowed that.

The promises are Milvus's, as in docs/design/cache.md: a Strong read has every write acknowledged before it was sent, a
Bounded read every write acknowledged more than `BOUND` before, a Session or Customized read every write up to its
guarantee; Eventually promises nothing. No read returns a row of another collection or block. All times are those of the
clients, so a read is sent before it arrives, and a write is acknowledged after Milvus did it: both make the judge more
lenient, never stricter.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from tests.consistency.records import Key, Level, Move, Read, Recorded, Write

BOUND = 5.0
"""Milvus's ``common.gracefulTime``, in seconds."""

SETTLE = 1.0
"""How long after an AlterAlias was answered proxies may still follow it to the old collection, in seconds."""


@dataclass(frozen=True)
class Verdict:
    """
    What is wrong with a read.

    Attributes:
        missed: acknowledged writes that its level promises and it did not see.
        foreign: keys that it saw and that are not of the collection and block it asked for.
        former: it was answered by an alias's former collection.
        late: seconds from the acknowledgement of the oldest missed write, or of the move of the alias that it does not
            know, until the read was sent.
    """

    read: Read
    missed: tuple[Key, ...] = ()
    foreign: tuple[Key, ...] = ()
    former: bool = False
    late: float = 0.0

    def __str__(self) -> str:
        read = self.read
        what = f"{read.method} at {read.level.name} of {read.name}, block {read.block}, through {read.arm}"
        if self.former:
            return f"{what}: saw the alias's former collection {self.late:.2f} s after the move was acknowledged"
        if self.foreign:
            return f"{what}: saw {len(self.foreign)} rows of elsewhere, {self.foreign[0]} first"
        return f"{what}: missed {len(self.missed)} writes, the oldest acknowledged {self.late:.2f} s before it was sent"


class Judge:
    """Judges the reads of one run."""

    def __init__(self, recorded: Recorded) -> None:
        """Index the writes."""
        self._levels = recorded.levels
        self._blocks: dict[tuple[str, int], list[Write]] = defaultdict(list)
        for write in recorded.writes:
            self._blocks[write.collection, write.block].append(write)
        self._moves: dict[str, list[Move]] = defaultdict(list)
        for move in sorted(recorded.moves, key=lambda move: move.sent):
            self._moves[move.alias].append(move)

    def verdict(self, read: Read) -> Verdict | None:
        """Return what is wrong with a read; None: nothing. A read during a move may be of either collection."""
        possible = self._possible(read)
        found = [self._of(read, collection) for collection, _ in possible]
        if None in found:
            return None
        others = {move.collection for move in self._moves.get(read.name, ())} - {
            collection for collection, _ in possible
        }
        if any(self._of(read, other) is None for other in others):
            return Verdict(read, former=True, late=read.sent - min(since for _, since in possible))
        return min((v for v in found if v), key=lambda v: (len(v.foreign), len(v.missed)))

    def behind(self, read: Read) -> float:
        """Return for how many seconds the oldest acknowledged write that a read missed was there; 0 if it missed none."""
        return min(
            max((read.sent - w.acknowledged for w in self._unseen(read, target) if w.acknowledged), default=0.0)
            for target, _ in self._possible(read)
        )

    def _of(self, read: Read, collection: str) -> Verdict | None:
        asked = {write.key for write in self._blocks[collection, read.block]}
        foreign = tuple(sorted(read.keys - asked))
        if foreign:
            return Verdict(read, foreign=foreign)
        level = self._levels[collection] if read.level is Level.DEFAULT else read.level
        missed = [write for write in self._unseen(read, collection) if _promised(write, read, level)]
        if not missed:
            return None
        late = max(read.sent - (write.acknowledged or read.sent) for write in missed)
        return Verdict(read, tuple(write.key for write in missed), late=late)

    def _unseen(self, read: Read, collection: str) -> Iterable[Write]:
        return (write for write in self._blocks[collection, read.block] if write.key not in read.keys)

    def _possible(self, read: Read) -> list[tuple[str, float]]:
        """Return the collections that a name may stand for while a read is under way, and since when it does."""
        moves = self._moves.get(read.name)
        if not moves:
            return [(read.name, 0.0)]
        ends = [*(_settled(move) for move in moves[1:]), float("inf")]
        # A move without an answer may be done at any later time, so the one before it stays possible until the next answer.
        for i in range(len(ends) - 2, -1, -1):
            ends[i] = ends[i] if ends[i] != float("inf") else ends[i + 1]
        possible = [m for m, end in zip(moves, ends, strict=True) if m.sent <= read.received and read.sent <= end]
        return [(m.collection, m.sent if m.acknowledged is None else m.acknowledged) for m in possible or moves[:1]]


def _settled(move: Move) -> float:
    return float("inf") if move.acknowledged is None else move.acknowledged + SETTLE


def _promised(write: Write, read: Read, level: Level) -> bool:
    match level:
        case Level.STRONG:
            return write.acknowledged is not None and write.acknowledged < read.sent
        case Level.BOUNDED:
            return write.acknowledged is not None and write.acknowledged < read.sent - BOUND
        case Level.SESSION | Level.CUSTOMIZED:
            return 0 < write.timestamp <= read.guarantee
        case _:
            return False
