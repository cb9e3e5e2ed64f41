"""Endpoints: the Milvus proxies behind a pool."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from kiteway.model.pools import PoolKey


class EndpointState(enum.StrEnum):
    """The state of an endpoint in its source; Envoy's health checks add to it."""

    READY = "ready"
    DRAINING = "draining"
    """Terminating but still serving: calls in flight finish, no new ones come."""


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """
    One serving address.

    Attributes:
        address: an IP address, never a name.
        port: the serving port.
        health_port: where the health check goes instead of the pool's port; for several proxies on one machine.
        rest_port: where REST goes instead of the pool's port.
        zone: the zone of the node, for locality; empty when unknown.
        state: see `EndpointState`.
    """

    address: str
    port: int
    health_port: int | None = None
    rest_port: int | None = None
    zone: str = ""
    state: EndpointState = EndpointState.READY

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"


ServiceName = tuple[str, str]
"""Namespace and name of a Service."""

EndpointTable = Mapping[PoolKey, tuple[Endpoint, ...]]
"""The endpoints of each pool, sorted; a pool without an entry has none."""
