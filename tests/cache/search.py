"""Searches for histories with a violation, and shortens them."""

from __future__ import annotations

import os
import random
from collections import Counter
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass

from tests.cache.conditions import NONE, Condition, Dropped
from tests.cache.generate import history, strangers
from tests.cache.history import History, simpler, source
from tests.cache.simulate import run

_BATCH = 500
_SHORTENED = 3
"""How many breaking histories of a batch are made short; the shortest is kept."""


@dataclass(frozen=True)
class Found:
    """
    What a search found.

    Attributes:
        histories: how many were run.
        breaking: how many of them have a violation.
        outcomes: what became of their reads: hits, joined, fills, forwarded.
        shortest: the shortest breaking history that was found.
    """

    histories: int = 0
    breaking: int = 0
    outcomes: Counter[str] | None = None
    shortest: History | None = None

    def __add__(self, other: Found) -> Found:
        shortest = min((h for h in (self.shortest, other.shortest) if h), key=_length, default=None)
        return Found(
            self.histories + other.histories,
            self.breaking + other.breaking,
            (self.outcomes or Counter()) + (other.outcomes or Counter()),
            shortest,
        )


def breaks(candidate: History, dropped: Dropped) -> bool:
    """Return whether some read of a history saw what it may not see."""
    return bool(run(candidate, dropped).violations)


def shorten(found: History, dropped: Dropped) -> History:
    """Return a breaking history without whatever can be left out of it; with all conditions it stays unbroken."""
    while True:
        for candidate in simpler(found):
            if breaks(candidate, dropped) and not (dropped and breaks(candidate, NONE)):
                found = candidate
                break
        else:
            return found


def search(dropped: Dropped, first: int, count: int) -> Found:
    """
    Run `count` histories, beginning with that number; equal numbers give equal histories.

    In those with odd numbers strangers make every other change.
    """
    outcomes: Counter[str] = Counter()
    breaking = []
    for number in range(first, first + count):
        candidate = history(random.Random(number))
        if number % 2:
            candidate = strangers(candidate)
        result = run(candidate, dropped)
        outcomes += result.outcomes
        if result.violations:
            breaking.append(candidate)
    short = (shorten(found, dropped) for found in sorted(breaking, key=_length)[:_SHORTENED])
    return Found(count, len(breaking), outcomes, min(short, key=_length, default=None))


def search_widely(executor: Executor, histories: int, dropped: Dropped = NONE, enough: int | None = None) -> Found:
    """Run histories on all processors until there are so many, or `enough` that break."""
    found = Found()
    workers = os.cpu_count() or 1
    while found.histories < histories and (enough is None or found.breaking < enough):
        left = histories - found.histories
        firsts = [found.histories + i * _BATCH for i in range(workers) if i * _BATCH < left]
        counts = [min(_BATCH, histories - first) for first in firsts]
        for part in executor.map(search, [dropped] * len(firsts), firsts, counts):
            found += part
    return found


def executor() -> Executor:
    """Return what runs batches beside each other."""
    return ProcessPoolExecutor(os.cpu_count() or 1)


def without(condition: Condition) -> Dropped:
    """Return what a run needs to do without one condition."""
    return frozenset({condition})


def _length(found: History) -> tuple[int, int]:
    return len(found.operations), len(source(found))
