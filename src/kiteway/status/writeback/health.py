"""The health of backends, from Envoy's list of clusters: megabytes of which little is read."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec


class Health(enum.StrEnum):
    """GKE's words in ``ingress.kubernetes.io/backends``."""

    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    UNKNOWN = "Unknown"


class _SocketAddress(msgspec.Struct):
    address: str = ""


class _Address(msgspec.Struct):
    socket_address: _SocketAddress = msgspec.field(default_factory=_SocketAddress)


class _Endpoint(msgspec.Struct):
    address: _Address = msgspec.field(default_factory=_Address)
    # Envoy leaves out flags that are not set; what is set says why the endpoint gets no traffic.
    health_status: dict[str, bool | str] = {}


class _Cluster(msgspec.Struct):
    name: str
    host_statuses: list[_Endpoint] = []


class _Clusters(msgspec.Struct):
    cluster_statuses: list[_Cluster] = []


@dataclass(frozen=True, slots=True)
class Seen:
    """
    What Envoy sees.

    Attributes:
        backends: the health by cluster: one healthy endpoint makes a backend HEALTHY; where none was checked nobody
            knows.
        addresses: by IP address, whether every endpoint there is healthy.
    """

    backends: Mapping[str, Health]
    addresses: Mapping[str, bool]


def read(clusters: bytes) -> Seen:
    """
    Read Envoy's ``/clusters?format=json``.

    Raises:
        msgspec.DecodeError: it is something else.
    """
    backends: dict[str, Health] = {}
    addresses: dict[str, bool] = {}
    for cluster in msgspec.json.decode(clusters, type=_Clusters).cluster_statuses:
        backends[cluster.name] = Health.UNKNOWN
        for endpoint in cluster.host_statuses:
            healthy = _healthy(endpoint.health_status)
            where = endpoint.address.socket_address.address
            addresses[where] = addresses.get(where, True) and healthy
            if healthy:
                backends[cluster.name] = Health.HEALTHY
            elif backends[cluster.name] is Health.UNKNOWN and not endpoint.health_status.get("pending_active_hc"):
                backends[cluster.name] = Health.UNHEALTHY
    return Seen(backends, addresses)


def _healthy(status: Mapping[str, bool | str]) -> bool:
    flags = (value for name, value in status.items() if name != "eds_health_status")
    return not any(flags) and status.get("eds_health_status", "HEALTHY") in {"HEALTHY", "UNKNOWN"}
