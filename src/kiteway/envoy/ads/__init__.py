"""The aggregated discovery service: incremental (delta) xDS to Envoy over a unix socket."""

from .rejection import Rejection
from .server import AdsServer
from .snapshot import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET, TYPES, Resource, ResourceSet, Snapshot
from .state import AdsState, RejectedAt, StreamState

__all__ = [
    "CLUSTER",
    "ENDPOINT",
    "LISTENER",
    "ROUTE",
    "SECRET",
    "TYPES",
    "AdsServer",
    "AdsState",
    "RejectedAt",
    "Rejection",
    "Resource",
    "ResourceSet",
    "Snapshot",
    "StreamState",
]
