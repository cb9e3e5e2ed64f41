"""The health of backends, from Envoy's list of clusters: megabytes of which little is read."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping

import msgspec


class Health(enum.StrEnum):
    """GKE's words in ``ingress.kubernetes.io/backends``."""

    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    UNKNOWN = "Unknown"


class _Endpoint(msgspec.Struct):
    # Envoy leaves out flags that are not set; what is set says why the endpoint gets no traffic.
    health_status: dict[str, bool | str] = {}


class _Cluster(msgspec.Struct):
    name: str
    host_statuses: list[_Endpoint] = []


class _Clusters(msgspec.Struct):
    cluster_statuses: list[_Cluster] = []


def health_of(clusters: bytes) -> dict[str, Health]:
    """
    Return the health by cluster: one healthy endpoint makes a backend HEALTHY; where none was checked nobody knows.

    Args:
        clusters: Envoy's ``/clusters?format=json``.

    Raises:
        msgspec.DecodeError: it is something else.
    """
    found = msgspec.json.decode(clusters, type=_Clusters)
    return {
        cluster.name: _health(each.health_status for each in cluster.host_statuses)
        for cluster in found.cluster_statuses
    }


def _health(endpoints: Iterable[Mapping[str, bool | str]]) -> Health:
    checked = False
    for status in endpoints:
        if status.get("pending_active_hc"):
            continue
        checked = True
        flags = [value for name, value in status.items() if name != "eds_health_status"]
        if not any(flags) and status.get("eds_health_status", "HEALTHY") in {"HEALTHY", "UNKNOWN"}:
            return Health.HEALTHY
    return Health.UNHEALTHY if checked else Health.UNKNOWN
