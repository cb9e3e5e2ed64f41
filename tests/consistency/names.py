"""What a name may stand for while a read is under way."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.consistency.records import Change, Read

BOUND = 5.0
"""Milvus's ``common.gracefulTime`` and the bound of the cache, in seconds."""

SETTLE = 1.0
"""How long after a change was answered proxies of Milvus may still be unaware of it, in seconds."""


@dataclass(frozen=True)
class Possible:
    """
    One thing that a name may stand for.

    Attributes:
        target: see `Change`.
        change: what made it so; None: it was always so.
    """

    target: str | None
    change: Change | None = None


class Names:
    """The changes of one run."""

    def __init__(self, changes: Iterable[Change]) -> None:
        """Sort them by name."""
        self._changes: dict[str, list[Change]] = defaultdict(list)
        for change in sorted(changes, key=lambda change: change.sent):
            self._changes[change.name].append(change)

    def changes(self, name: str) -> Sequence[Change]:
        """Return the changes of a name in the order in which they were sent."""
        return self._changes.get(name, ())

    def possible(self, name: str, read: Read) -> list[Possible]:
        """
        Return what `name` may stand for while `read` is under way.

        A change that was not sent through the balancer of the read takes effect at most `BOUND` later behind a cache.
        """
        changes = self.changes(name)
        if not changes:
            return [Possible(name)]
        cached = bool(read.outcome)
        ends = [*(_over(change, read, cached=cached) for change in changes[1:]), float("inf")]
        # A change without an answer may be done at any later time, so the one before stays possible until the next answer.
        for i in range(len(ends) - 2, -1, -1):
            ends[i] = ends[i] if ends[i] != float("inf") else ends[i + 1]
        found = [
            Possible(change.target, change)
            for change, end in zip(changes, ends, strict=True)
            if change.sent <= read.received and read.sent <= end
        ]
        return found or [Possible(changes[0].target, changes[0])]


def _over(change: Change, read: Read, *, cached: bool) -> float:
    """Return when the state before a change is over."""
    if change.acknowledged is None:
        return float("inf")
    elsewhere = cached and change.through != read.question.arm
    return change.acknowledged + SETTLE + (BOUND if elsewhere else 0.0)
