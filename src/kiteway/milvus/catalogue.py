"""
The catalogue of Milvus's rpcs: what each one does, and so how it may be treated.

The table is ``rpcs.json``, generated from milvus-proto; its classes decide timeouts, retries and, later, caching.
"""

from __future__ import annotations

import enum
import functools
import importlib.resources
import json
from collections.abc import Iterable
from dataclasses import dataclass


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


@dataclass(frozen=True, slots=True)
class Rpc:
    """
    One rpc.

    Attributes:
        name: e.g. ``Search``.
        service: ``MilvusService`` or ``ClientTelemetryService``.
        rpc_class: see `RpcClass`.
        streaming: whether it is not unary.
        retry_safe: whether sending it twice does no harm.
    """

    name: str
    service: str
    rpc_class: RpcClass
    streaming: bool
    retry_safe: bool

    @property
    def path(self) -> str:
        """The HTTP/2 path."""
        return f"/milvus.proto.milvus.{self.service}/{self.name}"


@functools.cache
def catalogue() -> tuple[Rpc, ...]:
    """Return all known rpcs, sorted by path."""
    raw = json.loads(importlib.resources.files("kiteway.milvus").joinpath("rpcs.json").read_text())
    rpcs = (
        Rpc(r["rpc"], r["service"], RpcClass(r["cls"]), r["stream"] != "unary", r["retry"].startswith("yes"))
        for r in raw
    )
    return tuple(sorted(rpcs, key=lambda rpc: rpc.path))


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
