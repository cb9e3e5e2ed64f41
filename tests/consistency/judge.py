"""
Judges every read: which promise of Milvus or of the cache it breaks.

The promises are those of docs/design/cache.md. A Strong read has every write acknowledged before it was sent and is
never answered from the cache. A Bounded read has every write acknowledged more than `BOUND` before, a Session or
Customized read every write up to its guarantee; so has a hit, a joined call and a miss with the default level and a guarantee.
Eventually promises nothing. No read returns rows of another collection or block, rows of a collection that the name no
longer stands for, or rows that its user may not read. A cached answer was made for the same question (`sources`).

All times are those of the clients, so a read is sent before it arrives, and a write is acknowledged after Milvus did it:
both make the judge more lenient, never stricter.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from tests.consistency.names import BOUND, Names, Possible
from tests.consistency.records import ALLOWED, CACHED, Key, Level, Read, Recorded, Write, access_name
from tests.consistency.sources import Sources

_OF_CACHE = CACHED | {"miss"}
_ROUNDING = 0.1
"""The header states an age with one digit after the point, in seconds."""


class Rule(Enum):
    """What a read broke."""

    MISSED = "missed writes that its level promises"
    FOREIGN = "saw rows of elsewhere"
    FORMER = "saw what the name stood for before"
    ACCESS = "saw what its user may not read"
    STRONG = "was answered from the cache at Strong"
    SOURCE = "got an answer that was made for no equal read"
    AGE = "got an answer that is too old by its own header"


@dataclass(frozen=True)
class Verdict:
    """
    What is wrong with a read.

    Attributes:
        keys: the acknowledged writes that it missed, or the rows of elsewhere that it saw.
        late: seconds from the acknowledgement of the oldest missed write, or of the change that it does not know, until
            the read was sent.
        milvus: Milvus itself gave this answer after the change, so it is not the cache's fault.
    """

    read: Read
    rule: Rule
    keys: tuple[Key, ...] = ()
    late: float = 0.0
    milvus: bool = False

    def __str__(self) -> str:
        read, asked = self.read, self.read.question
        header = (
            f", {read.outcome}" + (f" of age {read.age:g} s" if read.age is not None else "") if read.outcome else ""
        )
        what = f"{asked.method} at {read.level.name} of {asked.name}, {asked.expression}, by {asked.user}"
        seen = f" ({len(self.keys)} rows, {self.keys[0]} first)" if self.keys else ""
        late = f", {self.late:.2f} s after" if self.late else ""
        sent = f"sent {read.sent:.3f}, received {read.received:.3f}"
        return f"{what} through {asked.arm}{header}: {self.rule.value}{seen}{late}; {sent}"


class Judge:
    """Judges the reads of one run."""

    def __init__(self, recorded: Recorded) -> None:
        """Index what was recorded."""
        self._levels = recorded.levels
        self._blocks: dict[tuple[str | None, int], list[Write]] = defaultdict(list)
        for write in recorded.writes:
            self._blocks[write.collection, write.block].append(write)
        self._keys = {block: frozenset(write.key for write in writes) for block, writes in self._blocks.items()}
        self._names = Names(recorded.changes)
        self._sources = Sources(recorded.reads, recorded.lost)

    def verdict(self, read: Read) -> Verdict | None:
        """Return what is wrong with a read; None: nothing. A read during a change may have either state."""
        return self._access(read) or self._content(read) or (self._cached(read) if read.cached else None)

    def behind(self, read: Read) -> float:
        """Return for how many seconds the oldest acknowledged write that a read missed was there; 0 if it missed none."""
        return min(
            max((read.sent - w.acknowledged for w in self._unseen(read, of.target) if w.acknowledged), default=0.0)
            for of in self._possible(read)
        )

    def _possible(self, read: Read) -> list[Possible]:
        return self._names.possible(read.question.name, read)

    def _access(self, read: Read) -> Verdict | None:
        name = access_name(read.question.user, read.question.name)
        if not self._names.changes(name):
            return None
        possible = self._names.possible(name, read)
        if any(of.target == ALLOWED for of in possible):
            return None
        return self._since(read, Rule.ACCESS, possible)

    def _content(self, read: Read) -> Verdict | None:
        possible = self._possible(read)
        # The level may have been learned before a change, and the rows read after it.
        levels = self._levels_of(read, possible)
        found = [self._of(read, of.target, level) for of in possible for level in levels]
        if None in found:
            return None
        now = {of.target for of in possible}
        others = {change.target for change in self._names.changes(read.question.name)} - now - {None}
        # Whatever it may have missed there.
        former = [self._of(read, other, None) for other in others]
        if any(verdict is None or verdict.rule is not Rule.FOREIGN for verdict in former):
            return self._since(read, Rule.FORMER, possible)
        return min((v for v in found if v), key=lambda v: (v.rule is Rule.FOREIGN, len(v.keys)))

    def _since(self, read: Read, rule: Rule, possible: list[Possible]) -> Verdict:
        """Return a verdict about a change that a read does not know."""
        change = next(of.change for of in possible if of.change)
        late = read.sent - (change.sent if change.acknowledged is None else change.acknowledged)
        milvus = not read.cached or self._sources.excuse(read, change)
        return Verdict(read, rule, late=late, milvus=milvus)

    def _of(self, read: Read, collection: str | None, default: Level | None) -> Verdict | None:
        foreign = tuple(sorted(read.keys - self._keys.get((collection, read.block), frozenset())))
        if foreign or collection is None:
            return Verdict(read, Rule.FOREIGN, foreign)
        missed = [write for write in self._unseen(read, collection) if _promised(write, read, default)]
        if not missed:
            return None
        late = max(read.sent - (write.acknowledged or read.sent) for write in missed)
        return Verdict(read, Rule.MISSED, tuple(write.key for write in missed), late)

    def _unseen(self, read: Read, collection: str | None) -> Iterable[Write]:
        return (write for write in self._blocks.get((collection, read.block), ()) if write.key not in read.keys)

    def _levels_of(self, read: Read, possible: list[Possible]) -> set[Level | None]:
        """Return the default levels of what a name may stand for."""
        return {self._levels.get(of.target or "") for of in possible}

    def _cached(self, read: Read) -> Verdict | None:
        """Judge what holds for cached answers only."""
        levels = self._levels_of(read, self._possible(read)) if read.level is Level.DEFAULT else {read.level}
        if levels == {Level.STRONG}:
            return Verdict(read, Rule.STRONG)
        if not self._sources.of(read) and not self._sources.may_be_lost(read):
            return Verdict(read, Rule.SOURCE)
        # The header states the age when it was answered, and the bound is for the time when it arrived.
        if read.age is not None and read.age > BOUND + _ROUNDING + read.received - read.sent:
            return Verdict(read, Rule.AGE)
        return None


def _promised(write: Write, read: Read, default: Level | None) -> bool:
    acknowledged = write.acknowledged
    # Milvus ignores a guarantee with the default level; what the cache asks and answers has all that it covers.
    if read.level is Level.DEFAULT and read.outcome in _OF_CACHE and 0 < write.timestamp <= read.guarantee:
        return True
    match default if read.level is Level.DEFAULT else read.level:
        case Level.STRONG:
            return acknowledged is not None and acknowledged < read.sent
        case Level.BOUNDED:
            return acknowledged is not None and acknowledged < read.sent - BOUND
        case Level.SESSION | Level.CUSTOMIZED:
            return 0 < write.timestamp <= read.guarantee
        case _:
            return False
