"""
The catalogue of Milvus's rpcs: what each one does, and so how it may be treated.

The table is ``rpcs.json``, one rpc a line; its types are here. A test holds it against PyMilvus's protobuf descriptors.
Timeouts and retries follow from it, and the Rust filter's table is generated from it (``tools/generate_rpc_table.py``).
"""

from __future__ import annotations

import enum
import functools
import importlib.resources
from collections.abc import Iterable

import msgspec
from msgspec import Struct


class RpcClass(enum.StrEnum):
    """What an rpc does."""

    READ = "READ"
    READ_CPU = "READ-CPU"
    META_READ = "META-READ"
    WRITE = "WRITE"
    WRITE_BULK = "WRITE-BULK"
    DDL = "DDL"
    LOAD = "LOAD"
    MAINT = "MAINT"
    ADMIN_RBAC = "ADMIN-RBAC"
    ADMIN_READ = "ADMIN-READ"
    ADMIN_CLUSTER = "ADMIN-CLUSTER"
    REPLICATION = "REPLICATION"
    SESSION = "SESSION"
    HEALTH = "HEALTH"
    TELEMETRY = "TELEMETRY"


class Stream(enum.StrEnum):
    """How many messages an rpc has."""

    UNARY = "unary"
    """One in each direction."""
    SERVER = "server"
    """One request, many responses."""
    BIDIRECTIONAL = "bidirectional"


class Retry(enum.StrEnum):
    """When a balancer may send a call again."""

    SAFE = "safe"
    """Also when an endpoint has seen it: sending it twice does no harm."""
    UNSENT = "unsent"
    """Only where it is certain that no endpoint has seen anything of it."""


class Changes(enum.StrEnum):
    """What a call changes of what later reads answer."""

    NONE = "none"
    ROWS = "rows"
    """Rows of a collection, each with the timestamp of its write."""
    STRUCTURE = "structure"
    """Anything else that answers depend on: schemas, indexes, names, what is loaded, who may see what."""


class Scope(enum.StrEnum):
    """Where a call changes it."""

    NONE = "none"
    """Nowhere: the call changes nothing."""
    COLLECTION = "collection"
    """In every collection that the request names, whether by its name, an alias or a new name."""
    DATABASE = "database"
    """In the database that the request names."""
    POOL = "pool"
    """Anywhere in this Milvus."""


class RequestFields(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """
    The field numbers of the names in a request; None where it has no such field.

    Attributes:
        database: of the collection; for an rpc about a database, its name.
        collection: its name, or the first of several.
        alias: of a collection.
        new_database: the database that the call moves or restores a collection to.
        new_collection: the name that the call gives to a collection.
        partitions: the name of one or of several.
    """

    database: int | None = None
    collection: int | None = None
    alias: int | None = None
    new_database: int | None = None
    new_collection: int | None = None
    partitions: int | None = None


class Rpc(Struct, frozen=True, forbid_unknown_fields=True, rename={"name": "rpc", "rpc_class": "class"}):
    """
    One rpc.

    Attributes:
        name: e.g. ``Search``; no two services share one.
        service: ``MilvusService`` or ``ClientTelemetryService``, of the package ``milvus.proto.milvus``.
        rpc_class: what it does.
        stream: how many messages it has.
        request: the message type of the request.
        response: the message type of the response.
        retry: when a balancer may send it again.
        changes: what it changes.
        scope: where it changes it.
        later: whether the change comes after the call has been answered.
        fields: where the request has its names.
        note: a remark for readers of the table.
    """

    name: str
    service: str
    rpc_class: RpcClass
    stream: Stream
    request: str
    response: str
    retry: Retry
    changes: Changes
    scope: Scope
    fields: RequestFields
    later: bool = False
    note: str = ""

    @property
    def path(self) -> str:
        """The HTTP/2 path."""
        return f"/milvus.proto.milvus.{self.service}/{self.name}"

    @property
    def streaming(self) -> bool:
        """Whether it has more than one message in a direction."""
        return self.stream is not Stream.UNARY

    @property
    def retry_safe(self) -> bool:
        """Whether it may be sent again when an endpoint has seen it."""
        return self.retry is Retry.SAFE


@functools.cache
def catalogue() -> tuple[Rpc, ...]:
    """Return all known rpcs, sorted by path."""
    table = importlib.resources.files("kiteway.milvus").joinpath("rpcs.json").read_bytes()
    return tuple(sorted(msgspec.json.decode(table, type=list[Rpc]), key=lambda rpc: rpc.path))


def path_regex(rpcs: Iterable[Rpc]) -> str:
    """Return an RE2 expression that matches exactly the paths of ``rpcs``; common prefixes are shared."""
    by_service: dict[str, list[str]] = {}
    for rpc in rpcs:
        by_service.setdefault(rpc.service, []).append(rpc.name)
    return "|".join(
        rf"/milvus\.proto\.milvus\.{service}/{_alternation(sorted(names))}"
        for service, names in sorted(by_service.items())
    )


def _alternation(names: list[str]) -> str:
    """Return an expression for sorted ``names`` as a trie."""
    groups: dict[str, list[str]] = {}
    optional = False
    for name in names:
        if name:
            groups.setdefault(name[0], []).append(name[1:])
        else:
            optional = True
    parts = []
    for first, remainders in groups.items():
        prefix, rests = first, remainders
        while all(rests) and len({rest[0] for rest in rests}) == 1:
            prefix += rests[0][0]
            rests = [rest[1:] for rest in rests]
        parts.append(prefix + (_alternation(rests) if any(rests) else ""))
    if not parts:
        return ""
    if len(parts) == 1 and not optional:
        return parts[0]
    return f"(?:{'|'.join(parts)})" + ("?" if optional else "")
