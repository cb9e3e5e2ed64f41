"""The health of backends, from Envoy's list of clusters."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from kiteway.envoy.clusters import ClusterStatus
from kiteway.report.pools import EndpointFailure


class BackendHealth(enum.StrEnum):
    """GKE's words in ``ingress.kubernetes.io/backends``."""

    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    UNKNOWN = "Unknown"


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


def read(clusters: Mapping[str, ClusterStatus]) -> Seen:
    """Return the health of all endpoints of ``clusters``."""
    backends: dict[str, BackendHealth] = {}
    addresses: dict[str, bool] = {}
    for cluster in clusters.values():
        backends[cluster.name] = BackendHealth.UNKNOWN
        for endpoint in cluster.endpoints:
            addresses[endpoint.host] = addresses.get(endpoint.host, True) and endpoint.healthy
            if endpoint.healthy:
                backends[cluster.name] = BackendHealth.HEALTHY
            elif (
                backends[cluster.name] is BackendHealth.UNKNOWN
                and EndpointFailure.CHECK_PENDING not in endpoint.failures
            ):
                backends[cluster.name] = BackendHealth.UNHEALTHY
    return Seen(backends, addresses)
