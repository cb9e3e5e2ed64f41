"""The aggregated discovery service: incremental (delta) xDS to Envoy over a unix socket."""

from .server import AdsServer
from .session import Rejection
from .snapshot import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET, TYPES, Resource, Resources, Snapshot
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
    "Resources",
    "Snapshot",
    "StreamState",
]
