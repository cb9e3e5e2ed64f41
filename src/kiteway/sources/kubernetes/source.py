"""All collections together, as one source."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections.abc import AsyncIterator, Coroutine, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from kiteway.backoff import Backoff
from kiteway.diagnostics import Diagnostic, ObjectRef, Severity
from kiteway.kubernetes.api import Api, ApiError, ApiUnavailableError
from kiteway.kubernetes.config import KubernetesConfig
from kiteway.kubernetes.paths import collection
from kiteway.kubernetes.reflector import FIRST_PAUSE, LONGEST_PAUSE, Reflector
from kiteway.resources import EndpointSlice, Ingress, IngressClass, Object, Secret, Service, load_object
from kiteway.resources.kinds.secret import TLS_SECRET
from kiteway.sources.files import SourceContent
from kiteway.sources.kubernetes import last_good
from kiteway.sources.kubernetes.gate import Gate, Name, pod_of
from kiteway.sources.kubernetes.gke import belongs_elsewhere, is_gke
from kiteway.sources.kubernetes.kinds import WATCHED, WatchedKind
from kiteway.sources.kubernetes.named import NAMED, NamedSecrets, secrets_named
from kiteway.sources.kubernetes.published import Address, PublishedService, address
from kiteway.sources.kubernetes.store import Entry, Store, View

_log = structlog.get_logger(__name__)

_QUIET_SECONDS: Final = 0.1
"""A translation waits until nothing has changed for this many seconds,"""
_LATEST_SECONDS: Final = 1.0
"""but not longer than this: ``kubectl apply`` of a folder is one translation, a steady stream starves none."""
_SLICES_SECONDS: Final = 0.02
"""Changes of endpoints within this many seconds are taken as one."""
_REFUSED_VERB: Final = re.compile(r" cannot (\w+) resource ")
"""How the API server names the verb that a user has no right to (its ``RBAC`` message)."""
_KEEP_SECONDS: Final = 5.0
"""The least seconds between two writes of the last good configuration."""


@dataclass(frozen=True, slots=True)
class SliceChanges:
    """Changed EndpointSlices: those deleted or moved to another Service, and those present."""

    removed: tuple[EndpointSlice, ...]
    updated: tuple[EndpointSlice, ...]


class KubernetesSource:
    """
    Watches a cluster.

    Attributes:
        store: its objects.
        gke: whether it is GKE; None until the API server has said so.
        gate: the Pods with the readiness gate; None when it is off.
    """

    def __init__(self, api: Api, config: KubernetesConfig, file: Path, others: Iterable[Reflector] = ()) -> None:
        """
        Prepare.

        Args:
            api: the connection.
            config: what to watch.
            file: the last good configuration (see `last_good`); its present content is used until the API server
                answers.
            others: reflectors that run elsewhere; their problems are reported here.
        """
        self.store = Store(api.field_manager)
        self.gke: bool | None = None
        self._api = api
        self._config = config
        self._file = file
        self._changed = asyncio.Event()
        self._slices_changed = asyncio.Event()
        self._touched = asyncio.Event()
        self._unkept = asyncio.Event()
        self._slices: dict[ObjectRef, tuple[EndpointSlice | None, EndpointSlice | None]] = {}
        self._good: dict[str, tuple[bytes, ...]] = {}
        self._failing: set[str] = set()
        self._relive = self._reliving = False
        self._published = PublishedService(self._on_published)
        self._reflectors = [
            self._reflector(kind, namespace)
            for kind in WATCHED
            for namespace in (config.namespaces or ("",) if kind.cls.NAMESPACED else ("",))
        ]
        self._named = NamedSecrets(api, self._named_view, self._changed.set)
        self.gate = Gate(self._on_gated) if config.readiness_gate else None
        self._publishing = self._publish_reflectors()
        self._aside = [*self._publishing, *self._gate_reflectors()]
        self._others = tuple(others)
        self._restored = self._restore()

    @property
    def complete(self) -> bool:
        """Whether there is something to serve: every collection was read once, or loaded from the file."""
        return self._restored or self.followed

    @property
    def followed(self) -> bool:
        """Whether every collection was read from the API server, so that none still has its content from the file."""
        return self.gke is not None and all(each.synced for each in self._reflectors)

    @property
    def on_gke(self) -> bool:
        """Whether Google's controllers are at work in the cluster."""
        return bool(self.gke or self.store.google)

    @property
    def addresses(self) -> tuple[Address, ...] | None:
        """The addresses that Ingresses get; None, which leaves theirs unchanged, while none is configured or known."""
        if self._config.publish_addresses:
            return tuple(map(address, self._config.publish_addresses))
        if not self._config.publish_service or not all(each.synced for each in self._publishing):
            return None
        return self._published.addresses

    def look_again(self) -> None:
        """Request another translation, because the reflectors outside this source have read their collections or cannot."""
        self._changed.set()

    def why_incomplete(self) -> str:
        """Return which collections have not been read yet, and why."""
        waiting = [each for each in self._reflectors if not each.synced]
        problem = next((each.problem for each in waiting if each.problem), "")
        names = ", ".join(each.path.rpartition("/")[2] for each in waiting)
        return f"Waiting for the API server to list {names}" + (f": {problem}" if problem else "")

    def work(self) -> list[Coroutine[Any, Any, None]]:
        """Return the coroutines that watch the cluster; each runs until cancelled."""
        return [
            self._look_for_gke(),
            self._keep(),
            self._named.run(),
            *(each.run() for each in (*self._reflectors, *self._aside)),
        ]

    def read(self) -> SourceContent:
        """Return all present objects except Google's Ingresses."""
        taken = self._config.classless if self._config.classless is not None else not self.on_gke

        def left_out(object_: Object) -> bool:
            return belongs_elsewhere(object_, gke=self.on_gke, classless=taken)

        resources = self.store.resources(self._problems(), left_out)
        if self.gate is not None:
            admitted = (self._admitted(o) if isinstance(o, EndpointSlice) else o for o in resources.objects)
            resources = dataclasses.replace(resources, objects=tuple(admitted))
        if self._relive:
            # Ingresses that had errors when the container ended are first translated in their last good form.
            self._reliving, self._relive = True, False
            self._changed.set()
            return self._as_it_was(resources)
        return resources

    def translated(self, retained: Iterable[ObjectRef]) -> None:
        """Record the namespaces that are good now: those without a ``retained`` Ingress."""
        if self._reliving:
            self._reliving = False
            return
        failing = {ref.namespace for ref in retained}
        good: dict[str, list[bytes]] = {}
        for kind in WATCHED:
            if kind.cls is not EndpointSlice:
                for (namespace, _), entry in self.store.entries(kind.cls.KIND).items():
                    good.setdefault(namespace, []).append(entry.raw)
        kept = {namespace: raws for namespace, raws in self._good.items() if namespace in failing}
        self._failing = failing
        self._good = {ns: tuple(raws) for ns, raws in good.items() if ns not in failing} | kept
        self._unkept.set()

    async def changes(self) -> AsyncIterator[None]:
        """Yield when everything is to be translated: once the source is complete, and then after changes."""
        clock = asyncio.get_running_loop().time
        while True:
            await self._changed.wait()
            latest = clock() + _LATEST_SECONDS
            while self._changed.is_set() and clock() < latest:
                self._changed.clear()
                await asyncio.sleep(_QUIET_SECONDS)
            self._changed.clear()
            if self.followed:
                self._named.follow(self._missing_secrets())
            if self.complete and self._named.settled:
                yield

    async def slice_changes(self) -> AsyncIterator[SliceChanges]:
        """Yield changed EndpointSlices; changes close together come as one."""
        while True:
            await self._slices_changed.wait()
            await asyncio.sleep(_SLICES_SECONDS)
            self._slices_changed.clear()
            pairs, self._slices = self._slices.values(), {}
            removed = tuple(b for b, a in pairs if b is not None and (a is None or a.service_name != b.service_name))
            updated = (after for _, after in pairs if after is not None)
            yield SliceChanges(removed, tuple(map(self._admitted, updated)))

    async def touched(self) -> None:
        """Return when a field that controllers write has changed since the last call."""
        await self._touched.wait()
        self._touched.clear()

    def _as_it_was(self, now: SourceContent) -> SourceContent:
        """Return the resources; namespaces with errors have their last good objects."""
        before = [load_object(msgspec.json.decode(raw)) for raws in self._good.values() for raw in raws]
        others = [o for o in now.objects if isinstance(o, EndpointSlice) or o.metadata.namespace not in self._good]
        return SourceContent((*others, *(o for each in before for o in each.objects)), (), ())

    def _admitted(self, slice_: EndpointSlice) -> EndpointSlice:
        return self.gate.admit(slice_) if self.gate is not None else slice_

    def _reflector(self, kind: WatchedKind, namespace: str) -> Reflector:
        view = self.store.view(kind, namespace, self._on_change, self._touched.set)
        optional = kind.custom or kind.cls is IngressClass
        return Reflector(
            self._api,
            kind.collection(namespace),
            view,
            self._changed.set,
            selector=kind.selector,
            optional=optional,
            # With rights in some namespaces only, cluster-scoped objects cannot be read.
            forbidden_is_empty=optional and not kind.cls.NAMESPACED and bool(self._config.namespaces),
        )

    def _named_view(self, name: Name) -> View:
        return self.store.view(NAMED, name[0], self._on_change, self._touched.set, name[1])

    def _missing_secrets(self) -> set[Name]:
        """Return the named Secrets that are not of the type that is watched anyway."""
        objects = (
            o for k in (Ingress.KIND, Service.KIND) for e in self.store.entries(k).values() for o in e.loaded.objects
        )
        return secrets_named(objects) - self.store.entries(Secret.KIND).keys()

    def _publish_reflectors(self) -> list[Reflector]:
        if not self._config.publish_service or self._config.publish_addresses:
            return []
        namespace, _, name = self._config.publish_service.partition("/")
        path = collection("v1", "services", namespace)
        return [Reflector(self._api, path, self._published, self._changed.set, selector=f"metadata.name={name}")]

    def _gate_reflectors(self) -> list[Reflector]:
        if self.gate is None:
            return []
        paths = [collection("v1", "pods", namespace) for namespace in self._config.namespaces or ("",)]
        return [Reflector(self._api, path, self.gate, self._changed.set) for path in paths]

    def _on_gated(self, pod: Name) -> None:
        """Publish the slices of a Pod whose containers became ready or stopped being ready."""
        self._touched.set()
        for (namespace, _), entry in self.store.entries(EndpointSlice.KIND).items():
            for slice_ in entry.loaded.objects:
                if (
                    namespace == pod[0]
                    and isinstance(slice_, EndpointSlice)
                    and any(pod_of(endpoint) == pod[1] for endpoint in slice_.endpoints)
                ):
                    self._on_change(slice_, slice_)

    def _on_change(self, before: Object | None, after: Object | None) -> None:
        self._unkept.set()
        either = before or after
        if not isinstance(either, EndpointSlice):
            self._changed.set()
            return
        old = before if isinstance(before, EndpointSlice) else None
        new = after if isinstance(after, EndpointSlice) else None
        self._slices[either.ref] = (self._slices.get(either.ref, (old, None))[0], new)
        self._slices_changed.set()

    def _on_published(self) -> None:
        self._touched.set()
        self._changed.set()

    def _problems(self) -> list[Diagnostic]:
        found = [_problem(each) for each in (*self._reflectors, *self._aside, *self._others) if each.problem]
        if self._publishing and self.addresses == ():
            found.append(self._published.why_none(self._config.publish_service))
        return found

    async def _look_for_gke(self) -> None:
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            try:
                self.gke = await is_gke(self._api)
            except (ApiError, ApiUnavailableError):
                await asyncio.sleep(backoff.pause())
            else:
                self._changed.set()
                return

    def _restore(self) -> bool:
        kept = last_good.read(self._file)
        if kept is None:
            return False
        kinds = {kind.cls.KIND: kind for kind in WATCHED}
        for raw in kept.objects:
            object_ = msgspec.json.decode(raw)
            metadata = object_["metadata"]
            if object_["kind"] in kinds:
                by_name = object_["kind"] == Secret.KIND and object_.get("type") != TLS_SECRET
                entries = self.store.entries(NAMED.bucket if by_name else object_["kind"])
                entries[metadata.get("namespace", ""), metadata["name"]] = Entry(raw, load_object(object_), None)
        for raw in kept.before:
            namespace = msgspec.json.decode(raw)["metadata"].get("namespace", "")
            self._good[namespace] = (*self._good.get(namespace, ()), raw)
        self._relive = bool(self._good)
        for each in self._reflectors:
            each.known = True
        self.gke = kept.gke
        _log.info("restored", objects=len(kept.objects))
        self._changed.set()
        return True

    async def _keep(self) -> None:
        while True:
            await self._unkept.wait()
            if self.gke is not None and self.complete:
                self._unkept.clear()
                before = tuple(raw for ns in self._failing for raw in self._good.get(ns, ()))
                state = last_good.LastGood(bool(self.gke), tuple(self.store.raws()), before)
                try:
                    await asyncio.to_thread(last_good.write, self._file, state)
                except OSError as error:
                    _log.warning("not kept", file=str(self._file), error=error.strerror or str(error))
            await asyncio.sleep(_KEEP_SECONDS)


def _problem(reflector: Reflector) -> Diagnostic:
    verb = _REFUSED_VERB.search(reflector.problem)
    reason, what, fix = (
        ("KubernetesUnavailable", "cannot be followed", "What was last seen stays in force until it can be.")
        if not reflector.forbidden
        else (
            "KubernetesForbidden",
            "is not shown to Kiteway",
            f"Give the account the verb {verb[1]} for it; Kiteway needs get, list and watch.",
        )
        if verb is not None
        # Without valid credentials there is no user whose rights could be missing.
        else (
            "KubernetesForbidden",
            "is not shown to Kiteway",
            "Check the credentials: the account's token, or the kubeconfig's user.",
        )
    )
    message = f"{reflector.path} {what}: {reflector.problem.rstrip('.')}."
    return Diagnostic(Severity.WARNING, reason, message, fix)
