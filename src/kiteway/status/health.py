"""Which check an endpoint has, and what it means that none passes it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from kiteway._proto.envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from kiteway.envoy.ads import ENDPOINT, Snapshot
from kiteway.envoy.xds.common import grpc_cluster_name
from kiteway.model import HealthCheck, HealthCheckType, Pool
from kiteway.probe.result import join_host_port

_FAILED = "failed_active_health_check"
_PENDING = "pending_active_hc"


def fails_check(failures: Collection[str]) -> bool:
    """Tell whether an endpoint was asked and did not pass, by Envoy's words for why it gets no calls."""
    return _FAILED in failures and _PENDING not in failures


def checks(pool: Pool, snapshot: Snapshot | None) -> dict[str, str]:
    """Return what is asked of each endpoint that Envoy was given, by address."""
    resource = snapshot[ENDPOINT].get(grpc_cluster_name(pool.key)) if snapshot is not None else None
    if resource is None or pool.health_check is None:
        return {}
    found: dict[str, str] = {}
    for locality in ClusterLoadAssignment.FromString(resource.body).endpoints:
        for member in locality.lb_endpoints:
            address = member.endpoint.address.socket_address
            port = member.endpoint.health_check_config.port_value or address.port_value
            found[join_host_port(address.address, address.port_value)] = _asked(pool.health_check, port)
    return found


def _asked(check: HealthCheck, port: int) -> str:
    if check.type is HealthCheckType.TCP:
        return f"a connection to port {port}"
    return f"{check.type} {check.request_path} on port {port}"


def none_passes(pools: Sequence[Mapping[str, Any]], *, fail_open: bool) -> list[str]:
    """Return a sentence for each pool, of those in a report, all of whose endpoints fail their check."""
    then = "so calls go to all of them" if fail_open else "so calls are answered with UNAVAILABLE"
    return [
        f"no endpoint of {pool['name']} passes its health check ({members[0]['check']}), {then}"
        for pool in pools
        if (members := pool["endpoints"]) and all(member["checkFails"] for member in members)
    ]
