"""Snapshots: every xDS resource by type and name, as values that share what is unchanged."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from google.protobuf.message import Message

CLUSTER: Final = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
ENDPOINT: Final = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
SECRET: Final = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"  # noqa: S105 - a type, not a secret.
LISTENER: Final = "type.googleapis.com/envoy.config.listener.v3.Listener"
ROUTE: Final = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"

TYPES: Final = (CLUSTER, ENDPOINT, SECRET, LISTENER, ROUTE)
"""Every served type, in the order in which one change is sent: resources before those that refer to them."""

_BUCKETS: Final = 256
_HASH_BITS: Final = 64
_NO_RESOURCES: Final[dict[str, Resource]] = {}


def _digest(*parts: bytes) -> bytes:
    digest = hashlib.blake2b(digest_size=_HASH_BITS // 8)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a serialised message, and its hash."""

    content: bytes = field(repr=False)
    digest: bytes

    @classmethod
    def of(cls, content: bytes) -> Piece:
        """Return a piece with the hash of ``content``."""
        return cls(content, _digest(content))


@dataclass(frozen=True, slots=True)
class Resource:
    """
    One xDS resource.

    Attributes:
        name: unique within its type.
        version: a hash of the content; equal content has an equal version.
        pieces: the serialised message, without the enclosing ``Any``. Never printed: a Secret is a resource too. Large
            messages are in pieces, which successive versions share.
    """

    name: str
    version: str
    pieces: tuple[bytes, ...] = field(repr=False)

    @classmethod
    def of(cls, message: Message) -> Resource:
        """Serialise ``message`` deterministically; the name is ``cluster_name`` for endpoints, else ``name``."""
        name: str = message.cluster_name if type_url(message) == ENDPOINT else message.name  # type: ignore[attr-defined]
        body = message.SerializeToString(deterministic=True)
        return cls(name, _digest(body).hex(), (body,))

    @classmethod
    def assembled(cls, name: str, pieces: Sequence[Piece]) -> Resource:
        """Join the pieces of a message; the version is a hash of their hashes, so that no content is hashed again."""
        version = _digest(b"".join(piece.digest for piece in pieces)).hex()
        return cls(name, version, tuple(piece.content for piece in pieces))

    @property
    def body(self) -> bytes:
        """The serialised message."""
        return b"".join(self.pieces)

    @property
    def size(self) -> int:
        """The length of `body`."""
        return sum(map(len, self.pieces))


def type_url(message: Message) -> str:
    """Return the type URL of a message."""
    return f"type.googleapis.com/{message.DESCRIPTOR.full_name}"


class ResourceSet(Mapping[str, Resource]):
    """
    The resources of one type by name, immutable.

    Names are spread over buckets that successive values share, so that replacing one resource of 10,000 copies
    one bucket and comparing with the value before looks into one bucket.
    """

    __slots__ = ("_buckets", "_size", "_sum")

    def __init__(self, resources: Iterable[Resource] = ()) -> None:
        """Raise ``ValueError`` when two resources have the same name."""
        buckets: list[dict[str, Resource]] = [_NO_RESOURCES] * _BUCKETS
        self._size = 0
        self._sum = 0
        for resource in resources:
            index = hash(resource.name) % _BUCKETS
            if buckets[index] is _NO_RESOURCES:
                buckets[index] = {}
            if resource.name in buckets[index]:
                raise ValueError(f"two resources are named {resource.name!r}")
            buckets[index][resource.name] = resource
            self._size += 1
            self._sum += _weight(resource)
        self._buckets = tuple(buckets)

    def __getitem__(self, name: str) -> Resource:
        return self._buckets[hash(name) % _BUCKETS][name]

    def __iter__(self) -> Iterator[str]:
        for bucket in self._buckets:
            yield from bucket

    def __len__(self) -> int:
        return self._size

    def __repr__(self) -> str:
        return f"ResourceSet({sorted(self)})"

    @property
    def version(self) -> str:
        """A hash of all names and versions, independent of their order; updated by addition."""
        return f"{self._sum % 2**_HASH_BITS:016x}"

    def replace(self, changed: Iterable[Resource] = (), removed: Iterable[str] = ()) -> ResourceSet:
        """Return these resources with ``changed`` added or replaced and ``removed`` left out."""
        fresh: dict[int, dict[str, Resource]] = {}
        size, total = self._size, self._sum

        def bucket(name: str) -> dict[str, Resource]:
            index = hash(name) % _BUCKETS
            if index not in fresh:
                fresh[index] = dict(self._buckets[index])
            return fresh[index]

        for name in removed:
            before = bucket(name).pop(name, None)
            if before is not None:
                size, total = size - 1, total - _weight(before)
        for resource in changed:
            into = bucket(resource.name)
            before = into.get(resource.name)
            size, total = size + (before is None), total + _weight(resource) - (_weight(before) if before else 0)
            into[resource.name] = resource
        result = ResourceSet()
        result._size, result._sum = size, total
        result._buckets = tuple(fresh.get(index, old) for index, old in enumerate(self._buckets))
        return result

    def become(self, members: Collection[Resource]) -> ResourceSet:
        """
        Return ``members`` as a value that shares its unchanged buckets with this one.

        Each member is compared once; only changed members cost more than that. Raises ``ValueError`` when two resources have
        the same name.
        """
        names = {resource.name for resource in members}
        if len(names) != len(members):
            return ResourceSet(members)
        changed = [each for each in members if self._buckets[hash(each.name) % _BUCKETS].get(each.name) is not each]
        removed = [name for name in self if name not in names] if len(self) + len(changed) > len(names) else []
        return self.replace(changed, removed) if changed or removed else self

    def names_changed_since(self, old: ResourceSet) -> Iterator[str]:
        """Yield the names that are new, removed or of another version than in ``old``."""
        if self is old:
            return
        for mine, theirs in zip(self._buckets, old._buckets, strict=True):
            if mine is theirs:
                continue
            for name, resource in mine.items():
                before = theirs.get(name)
                if before is None or before.version != resource.version:
                    yield name
            for name in theirs:
                if name not in mine:
                    yield name


def _weight(resource: Resource) -> int:
    return int.from_bytes(_digest(resource.name.encode(), resource.version.encode()), "big")


class Snapshot(Mapping[str, ResourceSet]):
    """All resources for Envoy, by type URL; immutable. Every served type is present."""

    __slots__ = ("_types",)

    def __init__(self, resources: Mapping[str, Iterable[Resource] | ResourceSet] | None = None) -> None:
        """
        Take the resources of each type; a type that is left out is empty.

        Raises:
            ValueError: for a type that is not served, or two resources of one name.
        """
        given = dict(resources or {})
        types: dict[str, ResourceSet] = {}
        for kind in TYPES:
            these = given.pop(kind, ())
            types[kind] = these if isinstance(these, ResourceSet) else ResourceSet(these)
        if given:
            raise ValueError(f"types that are not served: {sorted(given)}")
        self._types = types

    @classmethod
    def of(cls, messages: Iterable[Message]) -> Snapshot:
        """Make a snapshot of xDS messages of any served types."""
        types: dict[str, list[Resource]] = {}
        for message in messages:
            types.setdefault(type_url(message), []).append(Resource.of(message))
        return cls(types)

    def __getitem__(self, kind: str) -> ResourceSet:
        return self._types[kind]

    def __iter__(self) -> Iterator[str]:
        return iter(self._types)

    def __len__(self) -> int:
        return len(self._types)

    def __repr__(self) -> str:
        return f"Snapshot({', '.join(f'{kind}: {len(these)}' for kind, these in self._types.items())})"

    @property
    def version(self) -> str:
        """A hash of the whole content."""
        return _digest(*(these.version.encode() for these in self._types.values())).hex()

    def replace(self, kind: str, changed: Iterable[Resource] = (), removed: Iterable[str] = ()) -> Snapshot:
        """Return this snapshot with resources of one type added, changed or removed, at the cost of the change."""
        snapshot = Snapshot()
        snapshot._types = {**self._types, kind: self._types[kind].replace(changed, removed)}
        return snapshot

    def diff(self, old: Snapshot) -> dict[str, list[str]]:
        """Return by type the names that are new, removed or changed since ``old``; types without any are left out."""
        changes = {kind: list(these.names_changed_since(old[kind])) for kind, these in self._types.items()}
        return {kind: names for kind, names in changes.items() if names}
