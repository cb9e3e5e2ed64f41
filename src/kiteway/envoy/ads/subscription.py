"""The resources of one type that one client subscribes to, those that it has, and those still to be sent."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from .phases import Phase, phase_of
from .snapshot import Resource, ResourceSet

WILDCARD: Final = "*"

_UNKNOWN: Final = ""
"""Stands for an unknown version of a resource at the client; equal to no version."""


@dataclass(frozen=True, slots=True)
class Batch:
    """
    One response that the client has not answered yet.

    Attributes:
        nonce: identifies it in the answer.
        size: the number of its resources, removed ones included.
        versions: the version of each of them, None for a removal; without those to which the client has since
            subscribed again, or unsubscribed.
    """

    nonce: str
    size: int
    versions: dict[str, str | None]


@dataclass(slots=True)
class Subscription:
    """
    The state of one resource type on one stream.

    ``unsettled`` has the names whose state at the client may differ from the target. Only these are examined, so that the
    cost is that of what changed. A name stays there until the client is known to hold the target's version.
    ``running`` has the names for which the client has accepted some version, perhaps not the last one sent.
    ``assumed`` has, by nonce, the responses that count as accepted although the answer has not arrived.
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
        Add to the client's subscription.

        Each named resource is sent even if it was sent before, because the client may have dropped it; except those that
        the client says it holds (``held``: versions by name, on the first request only).
        """
        for name in names:
            if name == WILDCARD:
                self.wildcard = True
                # Envoy waits for a first answer, even an empty one, unless it reconnects and holds resources.
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
        """Remove from the client's subscription. A name that the wildcard still covers is sent again."""
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
        """Send the rejected resources again although they are unchanged: a cause outside of them may be gone."""
        self.unsettled.update(dict.fromkeys(self.rejected))
        self.rejected.clear()

    def missing(self) -> list[str]:
        """Return the subscribed names of the target for which the client has accepted no version."""
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
        """Send these again, as far as the client has subscribed to them: the resource, or that it does not exist."""
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
        # The answer that a resource does not exist removes nothing that the client holds.
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
        """Return the response that the client has answered; it is no longer in flight."""
        if self.in_flight is not None and self.in_flight.nonce == nonce:
            in_flight, self.in_flight = self.in_flight, None
            return in_flight
        if nonce not in self.assumed:
            return None
        assumed = self.assumed.pop(nonce)
        # What was sent again since is in a later response.
        current = {name: version for name, version in assumed.versions.items() if self.held.get(name) == version}
        return Batch(nonce, assumed.size, current)

    def assume(self) -> None:
        """Treat the response in flight as accepted; the client's answer still counts when it arrives."""
        batch, self.in_flight = self.in_flight, None
        if batch is not None:
            self.assumed[batch.nonce] = batch
            self._take(batch)

    def acknowledge(self, batch: Batch) -> None:
        """The client accepted a response."""
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
        The client rejected a response; its message names some of the resources.

        Only a resource that was alone in its response is certainly the bad one. Of several, Envoy may have accepted
        all, some or none of the good ones. So all are sent again in smaller responses: if any were named, the
        others together and then the named ones one by one; else in halves.
        """
        if batch.size == 1:
            self.rejected.update(batch.versions)
            for name, version in batch.versions.items():
                self.batch_limit.pop(name, None)
                if version is not None and self.held.get(name) == version:
                    # It counted as accepted; which version the client holds instead is unknown.
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
        """Whether the client has exactly the target's versions of the resources to which it subscribes."""
        return self.answered and next(self.pending(Phase.BREAK), None) is None and not self.rejections()

    def abandoned(self) -> bool:
        """Return whether the client holds, and is subscribed by name to, a resource that the target no longer has."""
        return any(name in self.explicit and name in self.held and name not in self.target for name in self.unsettled)
