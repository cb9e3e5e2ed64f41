"""The calls of each endpoint, as `kiteway top` counts them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import NamedTuple

from kiteway.envoy.calls import Calls, CallsClient, CallsError
from kiteway.envoy.clusters import ClusterStatus
from kiteway.envoy.xds.common import grpc_cluster_name, rest_cluster_name
from kiteway.model import PoolKey


class Counts(NamedTuple):
    """Attempts at an endpoint since Envoy's start, and those of them that failed."""

    calls: int
    errors: int


_NONE = Counts(0, 0)


async def read_calls(client: CallsClient, *, with_filter: bool) -> Calls | None:
    """Return what the filter has counted; None if Envoy does not answer or has no filter."""
    if with_filter:
        with contextlib.suppress(CallsError):
            return await client.read()
    return None


class EndpointCounts:
    """
    The counts of all endpoints, gRPC and REST together.

    Milvus answers most errors with the gRPC status OK and its own code in the message. Only the filter sees those, so Envoy's
    counts stand in only where there is no filter.
    """

    def __init__(self, calls: Calls | None, clusters: Mapping[str, ClusterStatus]) -> None:
        if calls is not None:
            self._found = {
                (pool.name, each.endpoint): Counts(each.calls, sum(each.errors.values()))
                for pool in calls.pools
                for each in pool.endpoints
            }
        else:
            self._found = {
                (cluster.name, each.address): Counts(each.attempts.total, each.attempts.error)
                for cluster in clusters.values()
                for each in cluster.endpoints
            }

    def of(self, pool: PoolKey, address: str) -> Counts:
        """Return those of an endpoint (``HOST:PORT``) of a pool."""
        both = [self._found.get((name(pool), address), _NONE) for name in (grpc_cluster_name, rest_cluster_name)]
        return Counts(sum(each.calls for each in both), sum(each.errors for each in both))
