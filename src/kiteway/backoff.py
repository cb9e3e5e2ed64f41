"""Pauses between attempts that grow with every failure."""

from __future__ import annotations

import random


class Backoff:
    """
    Doubling pauses.

    Each pause is up to half shorter than the full one, at random, so that replicas do not try at the same moment;
    with ``spread=False`` it is the full one.
    """

    def __init__(self, first: float, longest: float, *, spread: bool = True) -> None:
        """
        Start with the first pause.

        Args:
            first: seconds of the first pause.
            longest: seconds that no pause exceeds.
            spread: whether pauses are shortened at random.
        """
        self._first = first
        self._longest = longest
        self._spread = spread
        self._next = first

    def reset(self) -> None:
        """Start again with the first pause."""
        self._next = self._first

    def pause(self) -> float:
        """Return the next pause in seconds."""
        now, self._next = self._next, min(self._next * 2, self._longest)
        return now * random.uniform(0.5, 1.0) if self._spread else now  # noqa: S311 - spreads load
