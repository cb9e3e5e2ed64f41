"""Events: what is wrong with an object, where ``kubectl describe`` shows it."""

from __future__ import annotations

import datetime as dt
import hashlib
import time
from dataclasses import dataclass
from typing import Final

import structlog

from kiteway.diagnostics import Diagnostic, ObjectRef, Severity
from kiteway.sources.kubernetes.api import FIELD_MANAGER, Api, ApiError
from kiteway.sources.kubernetes.kinds import collection
from kiteway.sources.kubernetes.store import Store

_log = structlog.get_logger(__name__)

_AGAIN_SECONDS: Final = 3900.0
"""The API server forgets an Event after an hour; what is still wrong then is said again."""
_BURST: Final = 25
_SECONDS_PER_EVENT: Final = 2.0
_MOST_CHARACTERS: Final = 1000
"""An Event's message has at most 1024."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to an object; ``reason`` is GKE's word where it has one."""

    about: ObjectRef
    reason: str
    message: str
    warning: bool = True


def of(diagnostic: Diagnostic) -> Event | None:
    """Return a diagnostic as an Event; None for a note, and for one about no object of a namespace."""
    if diagnostic.severity is Severity.NOTE or diagnostic.object is None or not diagnostic.object.namespace:
        return None
    where = f"{diagnostic.path}: " if diagnostic.path else ""
    return Event(diagnostic.object, diagnostic.reason, f"{where}{diagnostic.message} {diagnostic.fix}".strip())


class Events:
    """Posts each Event once, and not too many at a time; the rest waits for the next call."""

    def __init__(self, api: Api, store: Store, identity: str) -> None:
        self._api = api
        self._store = store
        self._identity = identity
        self._posted: dict[str, float] = {}
        self._tokens = float(_BURST)
        self._filled = time.monotonic()

    async def post(self, event: Event) -> None:
        """
        Post an Event, unless that was done already or too many were.

        Raises `ApiUnavailableError`; a refusal is logged.
        """
        identity = self._store.identity(event.about)
        if identity is None:
            return
        api_version, uid = identity
        name = f"{event.about.name}.{_digest(uid, event)}"
        now = time.monotonic()
        if now < self._posted.get(name, -_AGAIN_SECONDS) + _AGAIN_SECONDS or not self._token(now):
            return
        stamp = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": event.about.namespace},
            "involvedObject": {
                "apiVersion": api_version,
                "kind": event.about.kind,
                "namespace": event.about.namespace,
                "name": event.about.name,
                "uid": uid,
            },
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
        try:
            await self._api.create(collection("v1", "events", event.about.namespace), body)
        except ApiError as error:
            if error.status != 409:  # the replica before us has posted it
                _log.warning("event refused", about=str(event.about), error=str(error))
        self._posted[name] = now
        self._posted = {name: at for name, at in self._posted.items() if now < at + _AGAIN_SECONDS}

    def _token(self, now: float) -> bool:
        self._tokens = min(_BURST, self._tokens + (now - self._filled) / _SECONDS_PER_EVENT)
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def _digest(uid: str, event: Event) -> str:
    return hashlib.sha256(f"{uid} {event.about.kind} {event.reason} {event.message}".encode()).hexdigest()[:16]
