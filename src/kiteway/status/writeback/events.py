"""Events: what is wrong with an object, where ``kubectl describe`` shows it."""

from __future__ import annotations

import datetime as dt
import hashlib
import time
from collections.abc import Iterable
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
    """Posts each Event once and at a limited rate; the others wait."""

    def __init__(self, api: Api, store: Store, identity: str) -> None:
        self._api = api
        self._store = store
        self._identity = identity
        self._posted: dict[str, float] = {}
        self._waiting: dict[str, ObjectEvent] = {}
        self._tokens = float(_BURST)
        self._filled = time.monotonic()

    def add(self, events: Iterable[ObjectEvent]) -> None:
        """Add Events, except those that were posted within the hour and those about objects that do not exist."""
        now = time.monotonic()
        self._posted = {name: at for name, at in self._posted.items() if now < at + AGAIN_SECONDS}
        for event in events:
            identity = self._store.identity(event.about)
            name = f"{event.about.name}.{_digest(identity, event)}" if identity else ""
            if name and name not in self._posted:
                self._waiting[name] = event

    async def post(self) -> None:
        """Post the Events that wait, as far as the rate allows. Raises `ApiUnavailableError`; other errors are logged."""
        while self._waiting and self._token():
            name, event = next(iter(self._waiting.items()))
            identity = self._store.identity(event.about)
            if identity is not None:
                await self._create(event, self._body(name, event, *identity))
            del self._waiting[name]
            self._posted[name] = time.monotonic()

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
