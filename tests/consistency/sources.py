"""
Where answers of a cache come from.

An answer that was not made for this call was made for another call: the same question of the same user, at most `BOUND`
older. So each hit and each shared answer must have a forwarded read with the same rows. This finds answers that cross
users, databases, collections or Milvus clusters, and answers that are too old, whatever the level promises.
"""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Iterable

from tests.consistency.names import BOUND, SETTLE
from tests.consistency.records import Change, Level, Lost, Question, Read

_SLACK = 0.5
"""Seconds from the time at which Kiteway releases an answer until the client has recorded it, on a busy machine."""


class Sources:
    """The forwarded reads of one run."""

    def __init__(self, reads: Iterable[Read], lost: Iterable[Lost]) -> None:
        """Index them by question."""
        self._forwarded: dict[Question, list[Read]] = defaultdict(list)
        for read in sorted((read for read in reads if read.outcome == "miss"), key=lambda read: read.received):
            self._forwarded[read.question].append(read)
        self._lost: dict[Question, list[Lost]] = defaultdict(list)
        for each in lost:
            self._lost[each.question].append(each)

    def of(self, read: Read) -> list[Read]:
        """Return the forwarded reads whose answer a cached answer may be."""
        forwarded = self._forwarded.get(read.question, [])
        first = bisect.bisect_left(forwarded, read.sent - BOUND, key=lambda other: other.received)
        return [
            other
            for other in forwarded[first:]
            if other.sent <= read.received and other.keys == read.keys and _may_serve(other.level, read.level)
        ]

    def may_be_lost(self, read: Read) -> bool:
        """Tell whether the answer may have been made for a call whose client did not record one."""
        lost = self._lost.get(read.question, ())
        return any(other.sent <= read.received and other.ended >= read.sent - BOUND for other in lost)

    def excuse(self, read: Read, change: Change) -> bool:
        """
        Tell whether Milvus itself gave this answer after a change was complete.

        Without that, a cached answer from before the change is the cache's fault.
        """
        if self.may_be_lost(read):
            return True
        over = (change.acknowledged or change.sent) + SETTLE - _SLACK
        return any(other.sent >= change.sent and other.received >= over for other in self.of(read))


def _may_serve(made: Level, asked: Level) -> bool:
    """Tell whether an answer made at one level may serve a read at another: an Eventually answer only Eventually reads."""
    return made is not Level.STRONG and (made is not Level.EVENTUALLY or asked is Level.EVENTUALLY)
