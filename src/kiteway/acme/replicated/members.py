"""
The live replicas and the challenges that each shows: a Lease with one annotation for each replica.

Each replica writes its own annotation every few seconds and when it shows a new challenge. A replica whose annotation has
not changed for as long as a Lease lasts is not live. Only this process's clock counts, never another machine's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from kiteway.acme.storage import LEASE_SECONDS

PREFIX: Final = "replica.kiteway.io/"
SILENT_SECONDS: Final = LEASE_SECONDS / 2
"""Seconds without a change of any annotation after which the API server is silent: each replica writes more often."""

FORGET_SECONDS: Final = 600.0
"""Seconds without a change after which an annotation belongs to no live replica and is removed."""


class Beat(msgspec.Struct, frozen=True):
    """
    A replica's own annotation.

    Attributes:
        name: its name, for people.
        number: changes with each write.
        shown: the challenges that its own listeners answer, each by its digest.
    """

    name: str
    number: int
    shown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Seen:
    text: str
    beat: Beat
    at: float


class Members:
    """The replicas as this process has seen them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, _Seen] = {}

    def take(self, annotations: Mapping[str, str]) -> None:
        """Take the annotations of the Lease."""
        now = self._clock()
        silent = now - self._newest > SILENT_SECONDS
        found: dict[str, _Seen] = {}
        for key, text in annotations.items():
            known = self._seen.get(key)
            if known is not None and known.text == text:
                found[key] = known
            elif key.startswith(PREFIX) and (beat := _read(text)) is not None:
                found[key] = _Seen(text, beat, now)
        if silent and any(seen.at == now for seen in found.values()):
            # After a silence the first annotation arrives alone, and the others have had no chance to change.
            found = {key: replace(seen, at=now) for key, seen in found.items()}
        self._seen = found

    def waited_for(self, digest: str) -> list[str]:
        """Return the names of the live replicas that do not show a challenge yet."""
        oldest = self._clock() - LEASE_SECONDS
        return sorted(s.beat.name for s in self._seen.values() if s.at > oldest and digest not in s.beat.shown)

    @property
    def living(self) -> int:
        """
        The number of live replicas; while the API server is silent, as many as before. 0 if there is no annotation.

        An annotation's age is measured up to the newest one: during a silence none gets older.
        """
        oldest = self._newest - LEASE_SECONDS
        return sum(seen.at > oldest for seen in self._seen.values())

    @property
    def _newest(self) -> float:
        return max((seen.at for seen in self._seen.values()), default=self._clock())

    def forgotten(self) -> list[str]:
        """Return the annotations to remove."""
        oldest = self._clock() - FORGET_SECONDS
        return [key for key, seen in self._seen.items() if seen.at <= oldest]


class MembersSink:
    """Hands the one Lease that a reflector follows to ``members``."""

    def __init__(self, members: Members) -> None:
        self._members = members

    def replace(self, objects: Iterable[dict[str, Any]]) -> None:
        """Take the collection, which holds only the Lease."""
        self._members.take({})
        for object_ in objects:
            self.put(object_)

    def put(self, object_: dict[str, Any]) -> None:
        """Take the Lease."""
        self._members.take(object_["metadata"].get("annotations") or {})

    def drop(self, object_: dict[str, Any]) -> None:  # noqa: ARG002 - a Sink
        """Forget it."""
        self._members.take({})


def _read(text: str) -> Beat | None:
    try:
        return msgspec.json.decode(text, type=Beat)
    except msgspec.DecodeError:
        return None
