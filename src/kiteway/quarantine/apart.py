"""Finds by halving which unit a client rejects apart from all others, as a hint for the search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

K = TypeVar("K")

FEWEST: Final = 8
"""Suspects from which on it pays to try them apart: with fewer, the search itself takes three pushes."""


@dataclass(slots=True)
class Apart(Generic[K]):
    """
    Halves the units of a trial that the client rejected without naming one.

    Each half is tried without any other unit, so that a client with a thousand units has to build few of them. The result is
    only a hint: units may conflict with each other, or with units that are in force.

    Attributes:
        forms: the forms of the rejected trial.
        message: the client's message.
        suspects: the units of that trial, the oldest first.
        pushes: how many halves were published.
    """

    forms: Mapping[K, str]
    message: str
    suspects: Sequence[K]
    pushes: int = 1
    _first: int = field(init=False, default=0)
    _end: int = field(init=False)
    _rejected: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self._end = len(self.suspects)

    @property
    def on_trial(self) -> Sequence[K]:
        """The part to publish: the older half of the units that are left."""
        return self.suspects[self._first : self._middle]

    @property
    def left(self) -> Sequence[K]:
        """The units of which one is to blame; none if the client accepted every part."""
        return self.suspects[self._first : self._end]

    @property
    def done(self) -> bool:
        """Whether the one is found, or there is none."""
        return len(self.left) <= self._rejected

    def accept(self) -> None:
        """Note that the client accepted the part on trial."""
        self._first = self._middle
        self.pushes += not self.done

    def reject(self) -> None:
        """Note that the client rejected the part on trial."""
        self._end, self._rejected = self._middle, True
        self.pushes += not self.done

    @property
    def _middle(self) -> int:
        return self._first + max(1, len(self.left) // 2)
