"""What one client wants and holds of one resource type, and what is still to be sent to it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from .phases import Phase, phase_of
from .snapshot import Resource, ResourceSet

WILDCARD: Final = "*"

_UNKNOWN: Final = ""
"""The version of a resource of which the client may hold an older or a newer one; equal to no version."""


@dataclass(frozen=True, slots=True)
class Batch:
    """
    One response that waits for its answer.

    Attributes:
        nonce: names it in the answer.
        size: how many resources it carried, removed ones included.
        versions: the version of each of them, None where it is removed; without those that the client has
            asked for again, or no longer asks for, since it was sent.
    """

    nonce: str
    size: int
    versions: dict[str, str | None]


@dataclass(slots=True)
class Subscription:
    """
    The state of one resource type on one stream.

    ``unsettled`` holds the names whose state at the client may differ from the target. Only these are looked at,
    so that a change costs what changed. A name stays there until the client is known to have what it should.
    ``running`` holds the names of which the client has accepted some version, perhaps not the last one sent.
    ``assumed`` holds responses by nonce that the client is thought to have taken, though its answer is still to come.
    """

    type_url: str
    target: ResourceSet
    wildcard: bool = False
    unanswered: bool = False
    explicit: set[str] = field(default_factory=set)
    held: dict[str, str] = field(default_factory=dict)
    running: set[str] = field(default_factory=set)
    told_absent: set[str] = field(default_factory=set)
    rejected: dict[str, str | None] = field(default_factory=dict)
    in_flight: Batch | None = None
    assumed: dict[str, Batch] = field(default_factory=dict)
    unsettled: dict[str, None] = field(default_factory=dict)
    batch_limit: dict[str, int] = field(default_factory=dict)

    def wants(self, name: str) -> bool:
        """Return whether the client asked for this name, or for all."""
        return self.wildcard or name in self.explicit

    def subscribe(self, names: Iterable[str], held: Mapping[str, str]) -> None:
        """
        Add to what the client wants.

        Whatever it names is sent even if it was sent before, because it may have forgotten it; unless it says that
        it holds it (``held``: versions by name, on the first request only).
        """
        for name in names:
            if name == WILDCARD:
                self.wildcard = True
                # Envoy waits for a first answer even if there is nothing, unless it comes back with something.
                self.unanswered = not held
                self.unsettled.update(dict.fromkeys(self.target))
                continue
            self._forget(name)
            self.explicit.add(name)
            self.unsettled[name] = None
        for name, version in held.items():
            if self.wants(name):
                self.held[name] = version
                self.running.add(name)
                self.unsettled[name] = None

    def unsubscribe(self, names: Iterable[str]) -> None:
        """Take away from what the client wants. A name that the wildcard still covers is sent anew."""
        for name in names:
            if name == WILDCARD:
                self.wildcard = False
                for other in [n for n in {**self.held, **self.unsettled} if n not in self.explicit]:
                    self._forget(other)
                continue
            was_held = name in self.held
            self.explicit.discard(name)
            self._forget(name)
            if self.wildcard and (was_held or name in self.target):
                self.held[name] = _UNKNOWN
                self.unsettled[name] = None

    def retry(self) -> None:
        """Send what was rejected again, though it did not change: what it met outside may have."""
        self.unsettled.update(dict.fromkeys(self.rejected))
        self.rejected.clear()

    def missing(self) -> list[str]:
        """Return what the client wants, the target has, and of which the client has accepted no version."""
        wanted = self.target if self.wildcard else self.explicit
        return sorted(name for name in wanted if name in self.target and name not in self.running)

    def _forget(self, name: str) -> None:
        self.held.pop(name, None)
        self.running.discard(name)
        self.told_absent.discard(name)
        self.rejected.pop(name, None)
        self.batch_limit.pop(name, None)
        self.unsettled.pop(name, None)
        for batch in self._unanswered():
            batch.versions.pop(name, None)

    def retarget(self, target: ResourceSet, changed: Iterable[str]) -> None:
        """Take a new target, of which ``changed`` are the names that differ from the one before."""
        self.target = target
        self.unsettled.update((name, None) for name in changed if self.wants(name))

    def resend(self, names: Iterable[str]) -> None:
        """Answer again for these, if the client asked for them: what they are, or that they do not exist."""
        for name in names:
            if self.wants(name):
                self._forget(name)
                self.unsettled[name] = None

    def pending(self, phase: Phase) -> Iterator[tuple[str, Resource | None]]:
        """
        Yield what may be sent in ``phase``: name, and resource or None for a removal.

        Names found to be settled are dropped on the way.
        """
        for name in list(self.unsettled):
            resource = self.target.get(name)
            if not self._differs(name, resource):
                del self.unsettled[name]
            elif self.phase_of(name) <= phase:
                yield name, resource

    def phase_of(self, name: str) -> Phase:
        """Return the phase in which the difference in ``name`` may be sent."""
        # That something does not exist is an answer, and breaks nothing the client has.
        return phase_of(self.type_url, removal=name not in self.target and name in self.held)

    def _differs(self, name: str, resource: Resource | None) -> bool:
        if not self.wants(name):
            return False
        version = resource.version if resource is not None else None
        if name in self.rejected and self.rejected[name] == version:
            return False
        if resource is None:
            return name in self.held or (name in self.explicit and name not in self.told_absent)
        return self.held.get(name) != version

    @property
    def answered(self) -> bool:
        """Whether the client has answered every response."""
        return self.in_flight is None and not self.assumed

    def _unanswered(self) -> list[Batch]:
        return [*self.assumed.values(), *([self.in_flight] if self.in_flight is not None else [])]

    def answer(self, nonce: str) -> Batch | None:
        """Return the response that an answer is to, which is no longer waited for."""
        if self.in_flight is not None and self.in_flight.nonce == nonce:
            in_flight, self.in_flight = self.in_flight, None
            return in_flight
        if nonce not in self.assumed:
            return None
        assumed = self.assumed.pop(nonce)
        # What was sent again since is answered there.
        current = {name: version for name, version in assumed.versions.items() if self.held.get(name) == version}
        return Batch(nonce, assumed.size, current)

    def assume(self) -> None:
        """Go on as if the client had taken the response in flight; what it says when it answers counts all the same."""
        batch, self.in_flight = self.in_flight, None
        if batch is not None:
            self.assumed[batch.nonce] = batch
            self._take(batch)

    def acknowledge(self, batch: Batch) -> None:
        """The client took a response."""
        self._take(batch)
        for name, version in batch.versions.items():
            if version is not None:
                self.running.add(name)
            else:
                self.running.discard(name)

    def _take(self, batch: Batch) -> None:
        for name, version in batch.versions.items():
            self.rejected.pop(name, None)
            self.batch_limit.pop(name, None)
            if version is not None:
                self.told_absent.discard(name)
                self.held[name] = version
            else:
                self.held.pop(name, None)
                if name in self.explicit:
                    self.told_absent.add(name)

    def reject(self, batch: Batch, named: Collection[str]) -> None:
        """
        The client rejected a response, and named some resources of it when it said why.

        Only a resource that was alone in its response is certainly the bad one. Of several, Envoy may have taken
        all, some or none of the good ones, so all are sent again in smaller responses: if any were named, the
        others together and then the named ones singly; else in halves.
        """
        if batch.size == 1:
            self.rejected.update(batch.versions)
            for name, version in batch.versions.items():
                self.batch_limit.pop(name, None)
                if version is not None and self.held.get(name) == version:
                    # It was assumed to be taken; what the client holds instead is not known.
                    self.held[name] = _UNKNOWN
                    self.unsettled[name] = None
            return
        left = len(batch.versions)
        together = max(1, left - len(named) if named else left // 2)
        for name in sorted(batch.versions, key=lambda name: name in named):
            self.held[name] = _UNKNOWN
            self.unsettled.pop(name, None)
            self.unsettled[name] = None
            self.batch_limit[name] = 1 if name in named else together

    def rejections(self) -> dict[str, str | None]:
        """Return the rejected versions that are still in the target."""
        return {n: v for n, v in self.rejected.items() if v == (self.target[n].version if n in self.target else None)}

    @property
    def settled(self) -> bool:
        """Whether the client holds all of the target that it wants, and nothing else."""
        return self.answered and next(self.pending(Phase.BREAK), None) is None and not self.rejections()

    def abandoned(self) -> bool:
        """Return whether the client still asks by name for something it holds and the target has no more."""
        return any(name in self.explicit and name in self.held and name not in self.target for name in self.unsettled)
