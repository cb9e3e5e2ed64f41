"""What happens, as events: the differences between two statuses."""

from __future__ import annotations

import datetime as dt
import enum
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from kiteway.diagnostics import Severity
from kiteway.report.certificates import ServedCertificate
from kiteway.report.pools import EndpointHealth, EndpointReport
from kiteway.report.problem import Problem
from kiteway.report.status import State, Status
from kiteway.report.supervisor import SupervisorState

EVENTS_MOST: Final = 1000
"""Events that are kept; the oldest goes first."""
_OF_A_KIND_MOST: Final = 20
"""Events of one kind that one look adds; the rest is one event with their number."""
_TEXT_MOST: Final = 500
"""Characters of a text in an event."""
_NEAR_DAYS: Final = (21, 7, 1, 0)
"""Days before the end of a certificate at which an event says so; negative days count as the last."""


class Level(enum.StrEnum):
    """How an event is shown."""

    GOOD = "good"
    NOTE = "note"
    WARNING = "warning"
    BAD = "bad"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """
    An event.

    Attributes:
        id: grows with each event of a process.
        at: when it was seen.
        kind: a stable code; the page has a sentence for it in each language.
        level: how it is shown.
        about: the name of what it is about; can be empty.
        details: the values of the sentence, by name.
    """

    id: int = 0
    at: dt.datetime | None = None
    kind: str
    level: Level
    about: str = ""
    details: dict[str, str] = {}


class Journal:
    """The newest events of one instance."""

    def __init__(self, most: int = EVENTS_MOST) -> None:
        self._events: deque[Event] = deque(maxlen=most)
        self._before: Status | None = None
        self._answered = True
        self.last = 0
        """The id of the newest event; 0 without any."""

    def take(self, status: Status, at: dt.datetime) -> None:
        """Compare ``status`` with the one before, and add what has changed."""
        found: list[Event] = []
        # Before its first answer the control plane only starts.
        if self._before is not None and status.answered != self._answered:
            found.append(_answer(status))
        self._answered = status.answered
        if self._before is not None:
            found += children(self._before.supervisor, status.supervisor)
            # A control plane that does not answer says nothing about endpoints.
            if status.answered:
                found += changes(self._before, status)
        if status.answered:
            self._before = status
        elif self._before is not None:
            self._before = msgspec.structs.replace(self._before, supervisor=status.supervisor)
        for event in _few(found):
            self.last += 1
            self._events.append(msgspec.structs.replace(event, id=self.last, at=at))

    def newest(self, *, after: int = 0) -> list[Event]:
        """Return the events whose id is above ``after``, the newest first."""
        # Threads of the server read. The copy is one step for them; a deque that grows meanwhile cannot be walked.
        return [event for event in reversed(list(self._events)) if event.id > after]


def changes(before: Status, now: Status) -> list[Event]:
    """Return what differs between two statuses that the control plane has answered."""
    return [
        *_state(before, now),
        *_endpoints(before, now),
        *_hosts(before, now),
        *_configuration(before, now),
        *_certificates(before, now),
        *_problems(before.diagnostics, now.diagnostics),
    ]


def children(before: SupervisorState | None, now: SupervisorState | None) -> Iterator[Event]:
    """Yield the restarts of child processes."""
    for name, child in (now.children if now else {}).items():
        old = before.children.get(name) if before else None
        if old is None:
            continue
        if child.restarts > old.restarts:
            details = {"exit": child.last_exit, "restarts": str(child.restarts)}
            yield Event(kind="process.restarted", level=Level.BAD, about=name, details=details)
        if child.silent_since is not None and old.silent_since is None:
            yield Event(kind="process.silent", level=Level.BAD, about=name)


def _answer(status: Status) -> Event:
    if status.answered:
        return Event(kind="controlplane.answers", level=Level.GOOD)
    return Event(kind="controlplane.silent", level=Level.BAD, details={"why": status.reason})


def _state(before: Status, now: Status) -> Iterator[Event]:
    if before.state is not now.state:
        level = {State.READY: Level.GOOD, State.DEGRADED: Level.WARNING, State.NOT_READY: Level.BAD}[now.state]
        details = {"state": str(now.state), "why": "; ".join(now.reasons[:3])}
        yield Event(kind="instance.state", level=level, details=details)
    if before.envoy.reachable and not now.envoy.reachable:
        yield Event(kind="envoy.silent", level=Level.BAD, details={"why": now.envoy.error})


_LEVELS = {
    EndpointHealth.HEALTHY: Level.GOOD,
    EndpointHealth.PENDING: Level.NOTE,
    EndpointHealth.LEAVING: Level.NOTE,
}


def _endpoints(before: Status, now: Status) -> Iterator[Event]:
    # An Envoy that does not answer reports no endpoint.
    if not before.envoy.reachable or not now.envoy.reachable:
        return
    old, new = _by_endpoint(before), _by_endpoint(now)
    for (pool, address), endpoint in new.items():
        was = old.get((pool, address))
        details = {"pool": pool, "health": str(endpoint.health), "why": endpoint.why}
        if was is None:
            yield Event(kind="endpoint.added", level=Level.NOTE, about=address, details=details)
        elif was.health is not endpoint.health:
            level = _LEVELS.get(endpoint.health, Level.BAD)
            yield Event(kind="endpoint.health", level=level, about=address, details=details)
    for pool, address in old.keys() - new.keys():
        yield Event(kind="endpoint.removed", level=Level.NOTE, about=address, details={"pool": pool})


def _by_endpoint(status: Status) -> dict[tuple[str, str], EndpointReport]:
    return {(pool.name, endpoint.address): endpoint for pool in status.pools for endpoint in pool.endpoints}


def _hosts(before: Status, now: Status) -> Iterator[Event]:
    old, new = {each.host: each.ingress for each in before.hosts}, {each.host: each.ingress for each in now.hosts}
    for kind, names, of in (
        ("host.added", new.keys() - old.keys(), new),
        ("host.removed", old.keys() - new.keys(), old),
    ):
        for name in sorted(names):
            yield Event(kind=kind, level=Level.NOTE, about=name, details={"ingress": of[name]})


def _configuration(before: Status, now: Status) -> Iterator[Event]:
    one, other = before.configuration, now.configuration
    if one.version != other.version:
        yield Event(kind="configuration.changed", level=Level.NOTE, details={"version": other.version})
    known = {(each.type, each.resources) for each in one.rejections}
    for rejection in other.rejections:
        if (rejection.type, rejection.resources) not in known:
            details = {"type": rejection.type, "why": rejection.message}
            about = ", ".join(rejection.resources[:3])
            yield Event(kind="configuration.rejected", level=Level.BAD, about=about, details=details)
    held = {each.object: each for each in one.quarantine}
    for each in other.quarantine:
        if each.object not in held:
            yield Event(kind="quarantine.began", level=Level.BAD, about=each.object, details={"why": each.message})
    for name in sorted(held.keys() - {each.object for each in other.quarantine}):
        yield Event(kind="quarantine.ended", level=Level.GOOD, about=name)


def _certificates(before: Status, now: Status) -> Iterator[Event]:
    old = {each.name: each for each in before.certificates}
    for each in now.certificates:
        was = old.get(each.name)
        if was is None:
            continue
        details = {"days": str(each.days_left), "names": ", ".join(each.names[:3])}
        if was.fingerprint != each.fingerprint:
            yield Event(kind="certificate.replaced", level=Level.GOOD, about=each.name, details=details)
        elif _nearness(each) > _nearness(was):
            level = Level.BAD if each.days_left <= 1 else Level.WARNING
            yield Event(kind="certificate.near", level=level, about=each.name, details=details)
    states = {each.name: each.certificate_status for each in before.managed_certificates}
    for managed in now.managed_certificates:
        status = managed.certificate_status
        if states.get(managed.name, status) is not status:
            level = Level.BAD if status.failed else Level.GOOD
            details = {"state": str(status), "why": managed.message}
            yield Event(kind="certificate.managed", level=level, about=managed.name, details=details)


def _nearness(certificate: ServedCertificate) -> int:
    return sum(certificate.days_left <= days for days in _NEAR_DAYS)


_SEVERITIES = {Severity.ERROR: Level.BAD, Severity.WARNING: Level.WARNING, Severity.NOTE: Level.NOTE}


def _problems(before: Sequence[Problem], now: Sequence[Problem]) -> Iterator[Event]:
    known = set(map(_identity, before))
    for problem in now:
        if _identity(problem) not in known:
            details = {"reason": problem.reason, "message": problem.message, "fix": problem.fix}
            level = _SEVERITIES[problem.severity]
            yield Event(kind="problem.new", level=level, about=_about(problem), details=details)
    remaining = set(map(_identity, now))
    for problem in before:
        if _identity(problem) not in remaining:
            details = {"reason": problem.reason}
            yield Event(kind="problem.gone", level=Level.GOOD, about=_about(problem), details=details)


def _identity(problem: Problem) -> tuple[object, ...]:
    """Return what makes a problem; lines of a file move."""
    place = problem.object or (problem.position.file if problem.position else "")
    return (problem.reason, place, problem.path, problem.message)


def _about(problem: Problem) -> str:
    if problem.object is not None:
        return str(problem.object.ref)
    return str(problem.position or "")


def _few(events: Iterable[Event]) -> list[Event]:
    """Return the events, of each kind only the first ones, and their texts cut to a bounded length."""
    by_kind: dict[str, list[Event]] = {}
    for event in events:
        by_kind.setdefault(event.kind, []).append(event)
    found: list[Event] = []
    for kind, of_kind in by_kind.items():
        found += [_short(event) for event in of_kind[:_OF_A_KIND_MOST]]
        if (more := len(of_kind) - _OF_A_KIND_MOST) > 0:
            found.append(Event(kind="more", level=of_kind[0].level, details={"kind": kind, "number": str(more)}))
    return found


def _short(event: Event) -> Event:
    details: Mapping[str, str] = event.details
    return msgspec.structs.replace(
        event,
        about=event.about[:_TEXT_MOST],
        details={name: text[:_TEXT_MOST] for name, text in details.items() if text},
    )
