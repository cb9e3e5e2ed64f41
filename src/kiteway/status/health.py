"""The health check of each endpoint, and what it means that none passes it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from kiteway._proto.envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from kiteway.envoy.ads import ENDPOINT, Snapshot
from kiteway.envoy.xds.common import grpc_cluster_name
from kiteway.envoy.xds.health import checks_over_tls
from kiteway.model import HealthCheckType, Pool
from kiteway.probe.result import join_host_port
from kiteway.report.pools import PoolReport


@dataclass(frozen=True, slots=True)
class EndpointCheck:
    """
    The health check of one endpoint.

    Attributes:
        type: the protocol.
        host: the IP address.
        port: the port that is checked.
        path: the path of the request; not used by TCP.
        tls: whether it goes over TLS.
    """

    type: HealthCheckType
    host: str
    port: int
    path: str
    tls: bool = False

    def __str__(self) -> str:
        if self.type is HealthCheckType.TCP:
            return f"a connection to port {self.port}"
        return f"{self.type} {self.path} on port {self.port}"


def endpoint_checks(pool: Pool, snapshot: Snapshot | None) -> dict[str, EndpointCheck]:
    """Return the check of each endpoint of ``pool`` that Envoy was given, by ``HOST:PORT``."""
    resource = snapshot[ENDPOINT].get(grpc_cluster_name(pool.key)) if snapshot is not None else None
    check = pool.health_check
    if resource is None or check is None:
        return {}
    found: dict[str, EndpointCheck] = {}
    for locality in ClusterLoadAssignment.FromString(resource.body).endpoints:
        for member in locality.lb_endpoints:
            address = member.endpoint.address.socket_address
            port = member.endpoint.health_check_config.port_value or address.port_value
            found[join_host_port(address.address, address.port_value)] = EndpointCheck(
                check.type, address.address, port, check.request_path, checks_over_tls(pool, check)
            )
    return found


def none_passes(pools: Sequence[PoolReport], *, fail_open: bool) -> list[str]:
    """Return a sentence for each pool whose endpoints all fail their check."""
    then = "so calls go to all of them" if fail_open else "so calls are answered with UNAVAILABLE"
    return [
        f"no endpoint of {pool.name} passes its health check ({pool.endpoints[0].check}), {then}"
        for pool in pools
        if pool.endpoints and all(endpoint.check_fails for endpoint in pool.endpoints)
    ]


def none_serves(pools: Sequence[PoolReport], now: dt.datetime) -> list[str]:
    """Return a sentence for each pool whose endpoints pass their check although every call to them fails."""
    found = []
    for pool in pools:
        serving = [endpoint for endpoint in pool.endpoints if not endpoint.check_fails]
        since = [endpoint.calls_fail_since for endpoint in serving if endpoint.calls_fail_since is not None]
        if serving and len(since) == len(serving):
            seconds = int((now - max(since)).total_seconds())
            found.append(
                f"every call to {pool.name} fails, since {seconds} s: {serving[0].address}: {serving[0].calls_fail}"
            )
    return found
