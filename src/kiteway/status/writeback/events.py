"""Events: what is wrong with an object, where ``kubectl describe`` shows it."""

from __future__ import annotations

import datetime as dt
import hashlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import structlog

from kiteway.diagnostics import Diagnostic, ObjectRef, Severity
from kiteway.kubernetes.api import FIELD_MANAGER, Api, ApiError
from kiteway.kubernetes.paths import collection
from kiteway.report.certificates import ManagedCertificateReport
from kiteway.sources.kubernetes.store import Store

_log = structlog.get_logger(__name__)

AGAIN_SECONDS: Final = 3900.0
"""Seconds after which an Event is posted again: the API server deletes it after an hour."""
_BURST: Final = 25
_SECONDS_PER_EVENT: Final = 2.0
_MOST_NEWS: Final = 100
"""Events of one namespace that wait, apart from those about mistakes, which are as many as there are mistakes."""
_Waiting = dict[str, dict[str, "ObjectEvent"]]
"""Events by their names, by namespace."""
_MOST_CHARACTERS: Final = 1000
"""An Event's message has at most 1024."""


@dataclass(frozen=True, slots=True)
class ObjectEvent:
    """An Event to post about an object; ``reason`` is GKE's word where it has one."""

    about: ObjectRef
    reason: str
    message: str
    warning: bool = True


def diagnostic_event(diagnostic: Diagnostic) -> ObjectEvent | None:
    """Return the Event about a diagnostic; None for a note, and when it is not about an object in a namespace."""
    if diagnostic.severity is Severity.NOTE or diagnostic.object is None or not diagnostic.object.namespace:
        return None
    where = f"{diagnostic.path}: " if diagnostic.path else ""
    return ObjectEvent(diagnostic.object, diagnostic.reason, f"{where}{diagnostic.message} {diagnostic.fix}".strip())


def certificate_event(report: ManagedCertificateReport) -> ObjectEvent | None:
    """Return why a ManagedCertificate is not issued or renewed; None when it is, or when that is not known."""
    failed: list[str] = [domain.status for domain in report.domain_status if domain.status.failed]
    if report.certificate_status.failed:
        failed.append(report.certificate_status)
    if not failed or not report.message:
        return None
    return ObjectEvent(report.object.ref, str(failed[0]), f"{report.message} {report.fix}".strip())


class Events:
    """
    Posts each Event once and at a limited rate, for one namespace after the other; the others wait.

    So a namespace with thousands of mistakes, or with other mistakes each second, delays another one by one Event.
    """

    def __init__(self, api: Api, store: Store, identity: str) -> None:
        self._api = api
        self._store = store
        self._identity = identity
        self._posted: dict[str, float] = {}
        self._mistakes: _Waiting = {}
        self._news: _Waiting = {}
        self._turns: dict[str, int] = {}
        self._tokens = float(_BURST)
        self._filled = time.monotonic()

    def announce(self, mistakes: Iterable[ObjectEvent]) -> None:
        """Take the Events about everything that is wrong now; those of the last call that still wait are dropped."""
        self._mistakes = {}
        for name, event in self._new(mistakes):
            self._mistakes.setdefault(event.about.namespace, {})[name] = event

    def add(self, news: Iterable[ObjectEvent]) -> None:
        """Add Events about what happened; of a namespace with too many of them the oldest is dropped."""
        for name, event in self._new(news):
            of_namespace = self._news.setdefault(event.about.namespace, {})
            of_namespace[name] = event
            if len(of_namespace) > _MOST_NEWS:
                del of_namespace[next(iter(of_namespace))]

    def _new(self, events: Iterable[ObjectEvent]) -> Iterator[tuple[str, ObjectEvent]]:
        """Yield Events with their names, except those posted within the hour and those about objects that do not exist."""
        now = time.monotonic()
        self._posted = {name: at for name, at in self._posted.items() if now < at + AGAIN_SECONDS}
        for event in events:
            identity = self._store.identity(event.about)
            name = f"{event.about.name}.{_digest(identity, event)}" if identity else ""
            if name and name not in self._posted:
                yield name, event

    async def post(self) -> None:
        """Post the Events that wait, as far as the rate allows. Raises `ApiUnavailableError`; other errors are logged."""
        while (waiting := self._next()) and self._token():
            name, event = next(iter(waiting.items()))
            identity = self._store.identity(event.about)
            if identity is not None:
                await self._create(event, self._body(name, event, *identity))
            waiting.pop(name, None)
            self._posted[name] = time.monotonic()
            self._turns[event.about.namespace] = max(self._turns.values(), default=0) + 1

    def _next(self) -> dict[str, ObjectEvent] | None:
        """Return what waits in the namespace whose turn was the longest ago; None if nothing waits."""
        for waiting in (self._news, self._mistakes):
            for namespace in [name for name, events in waiting.items() if not events]:
                del waiting[namespace]
        namespaces = dict.fromkeys((*self._news, *self._mistakes))
        self._turns = {name: turn for name, turn in self._turns.items() if name in namespaces}
        chosen = min(namespaces, key=lambda name: self._turns.get(name, 0), default=None)
        if chosen is None:
            return None
        return self._news.get(chosen) or self._mistakes.get(chosen)

    async def _create(self, event: ObjectEvent, body: dict[str, Any]) -> None:
        try:
            await self._api.create(collection("v1", "events", event.about.namespace), body)
        except ApiError as error:
            if error.status != 409:  # the replica that had the Lease before has posted it
                _log.warning("event refused", about=str(event.about), error=str(error))

    def _body(self, name: str, event: ObjectEvent, api_version: str, uid: str) -> dict[str, Any]:
        stamp = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        about = {"kind": event.about.kind, "namespace": event.about.namespace, "name": event.about.name}
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": event.about.namespace},
            "involvedObject": {"apiVersion": api_version, "uid": uid, **about},
            "type": "Warning" if event.warning else "Normal",
            "reason": event.reason,
            "message": event.message[:_MOST_CHARACTERS],
            "source": {"component": FIELD_MANAGER},
            "reportingComponent": FIELD_MANAGER,
            "reportingInstance": self._identity,
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "count": 1,
        }

    def _token(self) -> bool:
        now = time.monotonic()
        self._tokens = min(_BURST, self._tokens + (now - self._filled) / _SECONDS_PER_EVENT)
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def _digest(identity: tuple[str, str], event: ObjectEvent) -> str:
    text = f"{identity[1]} {event.about.kind} {event.reason} {event.message}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]
