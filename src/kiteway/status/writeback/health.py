"""The health of backends, read from Envoy's list of clusters without decoding the rest, which can be megabytes."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from kiteway.report.pools import EndpointFailure


class BackendHealth(enum.StrEnum):
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
    # Envoy leaves out flags that are not set; each flag is a reason why the endpoint gets no calls.
    health_status: dict[str, bool | str] = {}


class _Cluster(msgspec.Struct):
    name: str
    host_statuses: list[_Endpoint] = []


class _Clusters(msgspec.Struct):
    cluster_statuses: list[_Cluster] = []


@dataclass(frozen=True, slots=True)
class Seen:
    """
    The health of all endpoints.

    Attributes:
        backends: the health by cluster: HEALTHY with one healthy endpoint, Unknown when none was checked.
        addresses: by IP address, whether each endpoint there is healthy.
    """

    backends: Mapping[str, BackendHealth]
    addresses: Mapping[str, bool]


def read(clusters: bytes) -> Seen:
    """
    Read Envoy's ``/clusters?format=json``.

    Raises:
        msgspec.DecodeError: it is something else.
    """
    backends: dict[str, BackendHealth] = {}
    addresses: dict[str, bool] = {}
    for cluster in msgspec.json.decode(clusters, type=_Clusters).cluster_statuses:
        backends[cluster.name] = BackendHealth.UNKNOWN
        for endpoint in cluster.host_statuses:
            healthy = _healthy(endpoint.health_status)
            where = endpoint.address.socket_address.address
            addresses[where] = addresses.get(where, True) and healthy
            if healthy:
                backends[cluster.name] = BackendHealth.HEALTHY
            elif backends[cluster.name] is BackendHealth.UNKNOWN and not endpoint.health_status.get(
                EndpointFailure.CHECK_PENDING
            ):
                backends[cluster.name] = BackendHealth.UNHEALTHY
    return Seen(backends, addresses)


def _healthy(status: Mapping[str, bool | str]) -> bool:
    flags = (value for name, value in status.items() if name != "eds_health_status")
    return not any(flags) and status.get("eds_health_status", "HEALTHY") in {"HEALTHY", "UNKNOWN"}
