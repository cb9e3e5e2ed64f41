"""The cluster's objects, reduced to what Kiteway uses; an object is decoded again only after a relevant change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from kiteway.diagnostics import Diagnostic, ObjectRef
from kiteway.kubernetes.api import FIELD_MANAGER
from kiteway.resources import Ingress, Loaded, ManagedCertificate, MilvusPolicy, Object, Service, load_object
from kiteway.resources import annotations as keys
from kiteway.sources.files import SourceContent
from kiteway.sources.kubernetes.kinds import WatchedKind

WRITTEN_ANNOTATIONS: Final = (keys.NEG_STATUS, keys.STATUS_PREFIX, keys.ACCEPTED)
"""Prefixes of annotations that controllers write: a change of these is not relevant."""

GOOGLE_MANAGERS: Final = frozenset({"glbc", "ingress-gce", "managed-certificate-controller"})
"""The field managers of GKE's own controllers (ingress-gce and gke-managed-certs)."""

_KEPT_METADATA: Final = (
    "name",
    "namespace",
    "uid",
    "labels",
    "creationTimestamp",
    "deletionTimestamp",
    "generation",
)
_WITH_STATUS: Final = frozenset({Ingress.KIND, Service.KIND, ManagedCertificate.KIND, MilvusPolicy.KIND})

Name = tuple[str, str]
"""Namespace (empty for kinds without) and name."""


@dataclass(frozen=True, slots=True)
class ControllerState:
    """
    The fields of an object that controllers write.

    Attributes:
        uid: the object's.
        status: its status as JSON values.
        annotations: those of `WRITTEN_ANNOTATIONS`.
        ours: whether Kiteway owns a field of it.
    """

    uid: str
    status: Mapping[str, Any]
    annotations: Mapping[str, str]
    ours: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """
    One object.

    Attributes:
        raw: its relevant fields, as JSON.
        loaded: the same, decoded.
        live: the fields that controllers write; None for kinds whose status Kiteway does not use.
    """

    raw: bytes
    loaded: Loaded
    live: ControllerState | None


Changed = Callable[[Object | None, Object | None], None]
"""Called with the object before and after a change; None if it is missing or has errors."""


class Store:
    """The objects of every kind by name; ``manager`` is Kiteway's field manager."""

    def __init__(self, manager: str = FIELD_MANAGER) -> None:
        self.manager = manager
        self.google = False
        self._entries: dict[str, dict[Name, Entry]] = {}

    def view(
        self, kind: WatchedKind, namespace: str, changed: Changed, touched: Callable[[], None], name: str = ""
    ) -> View:
        """Return the sink for a reflector of one kind. An empty ``namespace`` or ``name`` means all."""
        return View(self, kind, (namespace, name), changed, touched)

    def entries(self, kind: str) -> dict[Name, Entry]:
        """Return the objects of a kind; the caller may change the value."""
        return self._entries.setdefault(kind, {})

    def live(self, ref: ObjectRef) -> ControllerState | None:
        """Return what controllers have written to an object."""
        entry = self._entries.get(ref.kind, {}).get((ref.namespace, ref.name))
        return entry.live if entry else None

    def identity(self, ref: ObjectRef) -> tuple[str, str] | None:
        """Return an object's apiVersion and uid; None when it is not there."""
        entry = self._entries.get(ref.kind, {}).get((ref.namespace, ref.name))
        if entry is None:
            return None
        raw = msgspec.json.decode(entry.raw)
        return raw["apiVersion"], raw["metadata"].get("uid", "")

    def raws(self) -> Iterator[bytes]:
        """Yield every object as JSON."""
        for entries in self._entries.values():
            for entry in entries.values():
                yield entry.raw

    def resources(self, problems: Iterable[Diagnostic], left_out: Callable[[Object], bool]) -> SourceContent:
        """Return all objects except those that ``left_out`` selects."""
        objects: list[Object] = []
        diagnostics = list(problems)
        failed: list[ObjectRef] = []
        for entries in self._entries.values():
            for entry in entries.values():
                loaded = entry.loaded
                kept = [object_ for object_ in loaded.objects if not left_out(object_)]
                objects += kept
                if kept or not loaded.objects:
                    diagnostics += loaded.diagnostics
                    failed += loaded.refused
        return SourceContent(tuple(objects), tuple(diagnostics), tuple(failed))


class View:
    """The part of a store that one collection fills."""

    def __init__(
        self, store: Store, kind: WatchedKind, scope: Name, changed: Changed, touched: Callable[[], None]
    ) -> None:
        self._store = store
        self._kind = kind
        self._scope = scope
        self._changed = changed
        self._touched = touched
        self._entries = store.entries(kind.bucket or kind.cls.KIND)

    def replace(self, objects: Iterable[dict[str, Any]]) -> None:
        """Take the whole collection; an equal object is no change."""
        namespace, only = self._scope
        gone = {n for n in self._entries if namespace in {"", n[0]} and only in {"", n[1]}}
        for object_ in objects:
            gone.discard(_name(object_))
            self.put(object_)
        for name in gone:
            self._drop(name)

    def put(self, object_: dict[str, Any]) -> None:
        """Take a new or changed object."""
        name = _name(object_)
        before = self._entries.get(name)
        live = _live(object_, self._store.manager) if self._kind.cls.KIND in _WITH_STATUS else None
        self._store.google = self._store.google or _managed(object_, GOOGLE_MANAGERS)
        raw = msgspec.json.encode(substance(object_, self._kind))
        if before is not None and before.raw == raw:
            if before.live != live:
                self._entries[name] = Entry(raw, before.loaded, live)
                self._touched()
            return
        entry = self._entries[name] = Entry(raw, load_object(msgspec.json.decode(raw)), live)
        self._changed(_object(before), _object(entry))

    def drop(self, object_: dict[str, Any]) -> None:
        """Forget an object."""
        self._drop(_name(object_))

    def _drop(self, name: Name) -> None:
        before = self._entries.pop(name, None)
        if before is not None:
            self._changed(_object(before), None)


def substance(object_: Mapping[str, Any], kind: WatchedKind) -> dict[str, Any]:
    """Return the fields of an object that matter for balancing: neither status nor bookkeeping."""
    metadata = object_["metadata"]
    kept = {name: metadata[name] for name in _KEPT_METADATA if metadata.get(name)}
    written = {
        key: value
        for key, value in (metadata.get("annotations") or {}).items()
        if not key.startswith(WRITTEN_ANNOTATIONS) and key != _LAST_APPLIED
    }
    if written:
        kept["annotations"] = written
    rest = {key: value for key, value in object_.items() if key not in {"apiVersion", "kind", "metadata", "status"}}
    return {"apiVersion": kind.api_version, "kind": kind.cls.KIND, "metadata": kept, **rest}


# kubectl's copy of the whole object would double the memory, and a Secret's copy contains the key.
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


def _live(object_: Mapping[str, Any], manager: str) -> ControllerState:
    metadata = object_["metadata"]
    annotations = {
        key: value for key, value in (metadata.get("annotations") or {}).items() if key.startswith(WRITTEN_ANNOTATIONS)
    }
    return ControllerState(
        metadata.get("uid", ""), object_.get("status") or {}, annotations, _managed(object_, {manager})
    )


def _managed(object_: Mapping[str, Any], managers: Iterable[str]) -> bool:
    fields = object_["metadata"].get("managedFields") or ()
    return any(field.get("manager") in managers for field in fields)


def _name(object_: Mapping[str, Any]) -> Name:
    metadata = object_["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def _object(entry: Entry | None) -> Object | None:
    return entry.loaded.objects[0] if entry is not None and entry.loaded.objects else None
