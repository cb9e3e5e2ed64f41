"""
Who the replicas are, and what each of them shows: a Lease with an annotation a replica.

Each writes its own annotation, every few seconds and when it shows something new. Who is silent for as long as a Lease
lasts does not live, by what this process has seen happen, never by another machine's clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from kiteway.acme.storage import LEASE_SECONDS

PREFIX: Final = "replica.kiteway.io/"
FORGET_SECONDS: Final = 600.0
"""An annotation that has been silent for so long is nobody's any more."""


class Beat(msgspec.Struct, frozen=True):
    """
    What a replica says of itself.

    Attributes:
        name: its name, for people.
        number: another one each time.
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
    """What has been seen of the replicas."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, _Seen] = {}

    def take(self, annotations: Mapping[str, str]) -> None:
        """Take the annotations of the Lease."""
        now = self._clock()
        found: dict[str, _Seen] = {}
        for key, text in annotations.items():
            known = self._seen.get(key)
            if known is not None and known.text == text:
                found[key] = known
            elif key.startswith(PREFIX) and (beat := _read(text)) is not None:
                found[key] = _Seen(text, beat, now)
        self._seen = found

    def waited_for(self, digest: str) -> list[str]:
        """Return the names of the replicas that live and do not show a challenge yet."""
        oldest = self._clock() - LEASE_SECONDS
        return sorted(s.beat.name for s in self._seen.values() if s.at > oldest and digest not in s.beat.shown)

    @property
    def living(self) -> int:
        """How many live."""
        oldest = self._clock() - LEASE_SECONDS
        return sum(seen.at > oldest for seen in self._seen.values())

    def forgotten(self) -> list[str]:
        """Return the annotations that may go."""
        oldest = self._clock() - FORGET_SECONDS
        return [key for key, seen in self._seen.items() if seen.at <= oldest]


class MembersSink:
    """Hands the one Lease that a reflector follows to ``members``."""

    def __init__(self, members: Members) -> None:
        self._members = members

    def replace(self, objects: Iterable[dict[str, Any]]) -> None:
        """Take the collection that holds the Lease alone."""
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
