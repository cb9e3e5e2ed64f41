"""
The catalogue of Milvus's rpcs: what each one does, and therefore whether and when it may be retried.

The table is ``rpcs.json``, one rpc on each line; its types are here. A test compares it with PyMilvus's protobuf
descriptors. Timeouts and retries depend on it, and the Rust filter's table is generated from it
(``tools/generate_rpc_table.py``).
"""

from __future__ import annotations

import enum
import functools
import importlib.resources
import re
from collections.abc import Iterable

import msgspec
from msgspec import Struct

MILVUS_PACKAGE = "milvus.proto.milvus"


class RpcClass(enum.StrEnum):
    """The class of an rpc."""

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
    """The number of messages of an rpc."""

    UNARY = "unary"
    """One in each direction."""
    SERVER = "server"
    """One request, many responses."""
    BIDIRECTIONAL = "bidirectional"


class Retry(enum.StrEnum):
    """Whether a balancer may send a call again, and when."""

    SAFE = "safe"
    """Also when an endpoint may have received it: sending it twice does no harm."""
    UNSENT = "unsent"
    """Only if it is certain that no endpoint has received any byte of it."""


class Changes(enum.StrEnum):
    """The change that a call makes to the answers of later reads."""

    NONE = "none"
    ROWS = "rows"
    """Rows of a collection, each with the timestamp of its write."""
    STRUCTURE = "structure"
    """Anything else on which answers depend: schemas, indexes, names, loaded data, privileges."""


class Scope(enum.StrEnum):
    """The part of a Milvus that a call changes."""

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


class Rpc(
    Struct,
    frozen=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    rename={"name": "rpc", "rpc_class": "class"},
):
    """
    One rpc.

    Attributes:
        name: e.g. ``Search``; no two services share one.
        service: ``MilvusService`` or ``ClientTelemetryService`` of Milvus, or ``Health`` of gRPC, which Milvus serves too.
        rpc_class: the class of the rpc.
        stream: the number of messages in each direction.
        request: the message type of the request.
        response: the message type of the response.
        retry: whether and when a balancer may send a call again.
        changes: the change that a call makes.
        scope: the part of the Milvus that changes.
        later: whether the change happens after the call has been answered.
        fields: the fields of the request that contain names.
        note: a remark for readers of the table.
        package: of the service.
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
    package: str = MILVUS_PACKAGE

    @property
    def path(self) -> str:
        """The HTTP/2 path."""
        return f"/{self.package}.{self.service}/{self.name}"

    @property
    def streaming(self) -> bool:
        """Whether it has more than one message in a direction."""
        return self.stream is not Stream.UNARY

    @property
    def retry_safe(self) -> bool:
        """Whether it may be sent again when an endpoint may have received it."""
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
        by_service.setdefault(f"{rpc.package}.{rpc.service}", []).append(rpc.name)
    return "|".join(
        f"/{re.escape(service)}/{_alternation(sorted(names))}" for service, names in sorted(by_service.items())
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
