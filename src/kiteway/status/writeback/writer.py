"""Writes the status of each object, when it is not there already."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

import structlog

from kiteway.backoff import Backoff
from kiteway.diagnostics import Diagnostic, ObjectRef
from kiteway.envoy.admin import AdminClient, AdminError
from kiteway.kubernetes.api import Api, ApiError, ApiUnavailableError
from kiteway.kubernetes.lease import Lease
from kiteway.pipeline.pipeline import Outcome
from kiteway.report.certificates import ManagedCertificateReport
from kiteway.resources import EndpointSlice, Ingress, IngressClass, MilvusPolicy, Service
from kiteway.resources import annotations as keys
from kiteway.sources.kubernetes.kinds import WATCHED
from kiteway.sources.kubernetes.source import KubernetesSource
from kiteway.sources.kubernetes.store import ControllerState
from kiteway.status.writeback.events import (
    AGAIN_SECONDS,
    Events,
    ObjectEvent,
    certificate_event,
    diagnostic_event,
)
from kiteway.status.writeback.health import BackendHealth, read
from kiteway.status.writeback.object_status import ObjectStatus, object_statuses
from kiteway.status.writeback.policies import controller_name, policy_statuses
from kiteway.status.writeback.readiness import open_gates
from kiteway.translate import Options
from kiteway.translate.ingress.classes import is_ours
from kiteway.translate.shared.context import Index

_log = structlog.get_logger(__name__)

_ROUND_SECONDS: Final = 1.0
"""Seconds between two rounds, at least; and twenty times what a look took, so that a large cluster costs at most 5 % of a CPU."""
_LOOK_SECONDS: Final = 5.0
"""Seconds between two requests to Envoy for the endpoints' health."""
_AT_ONCE: Final = 4
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 300.0
"""Seconds before an object is written again: another controller can write the same fields, again and again."""

_KINDS: Final = {kind.cls.KIND: kind for kind in WATCHED}


class Writer:
    """Writes status, annotations and Events while this replica holds the Lease."""

    def __init__(
        self,
        api: Api,
        source: KubernetesSource,
        lease: Lease,
        *,
        admin: AdminClient,
        ingress_class: str,
        identity: str,
        managed: Callable[[], Iterable[ManagedCertificateReport]],
    ) -> None:
        self._api = api
        self._source = source
        self._lease = lease
        self._admin = admin
        self._managed = managed
        self._options = Options(ingress_class=ingress_class)
        self._events = Events(api, source.store, identity)
        self._outcome: Outcome | None = None
        self._announced: tuple[Diagnostic, ...] | None = None
        self._announced_at = 0.0
        self._pauses: dict[ObjectRef, tuple[Backoff, float]] = {}
        self._look_took = 0.0

    def take(self, outcome: Outcome) -> None:
        """Take the newest outcome."""
        self._outcome = outcome

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            try:
                if self._lease.held and self._outcome is not None and self._source.followed:
                    await self._round(self._outcome)
            except (AdminError, ApiUnavailableError) as error:
                _log.info("status not written", error=str(error))
            await _first(self._source.touched, max(_ROUND_SECONDS, 20 * self._look_took), _LOOK_SECONDS)

    async def _round(self, outcome: Outcome) -> None:
        began = time.monotonic()
        seen = read(await self._admin.recent_clusters())
        due = self._due(self._wanted(outcome, seen.backends))
        self._look_took = time.monotonic() - began
        if self._source.gate is not None:
            await open_gates(self._api, self._source.gate, seen.addresses)
        limit = asyncio.Semaphore(_AT_ONCE)

        async def write(ref: ObjectRef, what: ObjectStatus, live: ControllerState) -> None:
            async with limit:
                if self._lease.held:
                    await self._write(ref, what, live)

        await asyncio.gather(*(write(*each) for each in due))
        now = time.monotonic()
        self._pauses = {ref: pause for ref, pause in self._pauses.items() if self._source.store.live(ref) is not None}
        if outcome.translation is not self._announced or now > self._announced_at + AGAIN_SECONDS:
            self._announced, self._announced_at = outcome.translation, now
            self._events.announce(
                e for e in map(diagnostic_event, outcome.translation) if e is not None and self._concerns_us(e.about)
            )
        if not self._source.on_gke:
            self._events.add(e for e in map(certificate_event, self._managed()) if e is not None)
        if self._lease.held:
            await self._events.post()

    def _wanted(self, outcome: Outcome, health: Mapping[str, BackendHealth]) -> dict[ObjectRef, ObjectStatus]:
        addresses, zones, held = self._source.addresses, self._zones(), outcome.quarantine.held
        found = object_statuses(outcome.model, health, addresses, zones, self._managed(), held=held)
        if self._source.on_gke:
            # NEGs and ManagedCertificates are Google's there, whichever Ingress names them.
            found = {ref: what for ref, what in found.items() if ref.kind == Ingress.KIND}
        return found | self._policies(outcome)

    def _policies(self, outcome: Outcome) -> dict[ObjectRef, ObjectStatus]:
        store = self._source.store
        there = [ObjectRef(MilvusPolicy.KIND, *name) for name in store.entries(MilvusPolicy.KIND)]
        controller = controller_name(self._options.ingress_class)
        return policy_statuses(outcome.attachments, there, store.live, controller, dt.datetime.now(dt.UTC))

    def _zones(self) -> dict[tuple[str, str], set[str]]:
        zones: dict[tuple[str, str], set[str]] = {}
        for entry in self._source.store.entries(EndpointSlice.KIND).values():
            for slice_ in entry.loaded.objects:
                if isinstance(slice_, EndpointSlice):
                    name = (slice_.metadata.namespace, slice_.service_name)
                    zones.setdefault(name, set()).update(e.zone for e in slice_.endpoints if e.zone)
        return zones

    def _due(self, found: Mapping[ObjectRef, ObjectStatus]) -> list[tuple[ObjectRef, ObjectStatus, ControllerState]]:
        """Return what must be written now, with the state of the object in the cluster."""
        now = time.monotonic()
        due = []
        for ref, what in [*found.items(), *((ref, ObjectStatus()) for ref in self._left(found))]:
            live = self._source.store.live(ref)
            if live is None:
                continue
            if is_written(live, what):
                self._calm(ref, now)
            elif now >= self._pauses.get(ref, (None, 0.0))[1]:
                due.append((ref, what, live))
        return due

    def _left(self, found: Mapping[ObjectRef, ObjectStatus]) -> list[ObjectRef]:
        """Return the objects with annotations or a status of Kiteway that Kiteway no longer serves."""
        store = self._source.store
        left = []
        for kind in (Ingress.KIND, Service.KIND):
            for entry in store.entries(kind).values():
                for object_ in entry.loaded.objects:
                    if entry.live is None or not entry.live.ours or object_.ref in found:
                        continue
                    # An Ingress of ours with errors keeps the last status, as on GKE.
                    if kind != Ingress.KIND or not self._concerns_us(object_.ref):
                        left.append(object_.ref)
        return left

    def _concerns_us(self, ref: ObjectRef) -> bool:
        """Return whether an object is not an Ingress of another controller."""
        entries = self._source.store.entries
        classes = Index(o for e in entries(IngressClass.KIND).values() for o in e.loaded.objects)
        entry = entries(ref.kind).get((ref.namespace, ref.name))
        ingresses = [o for o in entry.loaded.objects if isinstance(o, Ingress)] if entry else []
        return all(is_ours(ingress, classes, self._options)[0] for ingress in ingresses)

    def _calm(self, ref: ObjectRef, now: float) -> None:
        """Reset the pause of an object whose status has not been overwritten for long enough."""
        pause = self._pauses.get(ref)
        if pause is not None and now > pause[1] + _LONGEST_PAUSE:
            del self._pauses[ref]

    async def _write(self, ref: ObjectRef, what: ObjectStatus, live: ControllerState) -> None:
        backoff = self._pauses.get(ref, (Backoff(_FIRST_PAUSE, _LONGEST_PAUSE), 0.0))[0]
        self._pauses[ref] = (backoff, time.monotonic() + backoff.pause())
        kind = _KINDS[ref.kind]
        metadata: dict[str, Any] = {"name": ref.name, "namespace": ref.namespace, "uid": live.uid}
        if what.annotations:
            metadata["annotations"] = dict(what.annotations)
        body: dict[str, Any] = {"apiVersion": kind.api_version, "kind": ref.kind, "metadata": metadata}
        if what.status:
            body["status"] = dict(what.status)
        try:
            # The status subresource takes annotations too, and the right to write it does not include the specification.
            await self._api.apply(f"{kind.collection(ref.namespace)}/{ref.name}/status", body)
        except ApiError as error:
            if error.status not in {404, 409}:  # deleted, or created again: the watch will tell
                _log.warning("status refused", about=str(ref), error=str(error))
            return
        _log.info("status", about=str(ref))
        where = ", ".join(addresses(what.status))
        if ref.kind == Ingress.KIND and where and addresses(live.status) != addresses(what.status):
            self._events.add([ObjectEvent(ref, "IPChanged", f"IP is now {where}", warning=False)])


def is_written(live: ControllerState, what: ObjectStatus) -> bool:
    """Return whether the object has the status already; other fields are not compared."""
    if not what.status and not what.annotations:
        return not live.ours
    if keys.ACCEPTED in live.annotations and keys.ACCEPTED not in what.annotations:
        return False
    return all(_filled(live.status.get(key)) == _filled(value) for key, value in what.status.items()) and all(
        live.annotations.get(key) == value for key, value in what.annotations.items()
    )


def _filled(value: Any) -> Any:
    """Return a part of a status without empty lists, which the API server omits."""
    return {name: part for name, part in value.items() if part != []} if isinstance(value, Mapping) else value


def addresses(status: Mapping[str, Any]) -> list[str]:
    """Return the addresses in the status of an Ingress."""
    entries = (status.get("loadBalancer") or {}).get("ingress") or ()
    return [entry.get("ip") or entry.get("hostname") or "" for entry in entries]


async def _first(event: Callable[[], Awaitable[None]], least: float, most: float) -> None:
    """Wait for ``event``, at least ``least`` and at most ``most`` seconds."""
    await asyncio.sleep(least)
    try:
        async with asyncio.timeout(max(0.0, most - least)):
            await event()
    except TimeoutError:
        return
