"""Endpoints as cluster load assignments."""

from __future__ import annotations

from kiteway._proto.envoy.config.core.v3.base_pb2 import Locality
from kiteway._proto.envoy.config.core.v3.health_check_pb2 import HealthStatus
from kiteway._proto.envoy.config.endpoint.v3 import endpoint_components_pb2 as components
from kiteway._proto.envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from kiteway.envoy.xds.common import grpc_cluster_name, rest_cluster_name, socket_address
from kiteway.model import Endpoint, EndpointState, Pool


def assignments(pool: Pool, endpoints: tuple[Endpoint, ...]) -> list[ClusterLoadAssignment]:
    """Return the load assignment of each cluster of a pool."""
    result = [_assignment(grpc_cluster_name(pool.key), pool, endpoints, rest=False)]
    if pool.rest:
        result.append(_assignment(rest_cluster_name(pool.key), pool, endpoints, rest=True))
    return result


def _assignment(name: str, pool: Pool, endpoints: tuple[Endpoint, ...], *, rest: bool) -> ClusterLoadAssignment:
    by_zone: dict[str, list[components.LbEndpoint]] = {}
    for endpoint in sorted(endpoints):
        by_zone.setdefault(endpoint.zone, []).append(_lb_endpoint(pool, endpoint, rest=rest))
    return ClusterLoadAssignment(
        cluster_name=name,
        endpoints=[
            components.LocalityLbEndpoints(locality=Locality(zone=zone) if zone else None, lb_endpoints=members)
            for zone, members in sorted(by_zone.items())
        ],
    )


def _lb_endpoint(pool: Pool, endpoint: Endpoint, *, rest: bool) -> components.LbEndpoint:
    port = (endpoint.rest_port or pool.rest_port or endpoint.port) if rest else endpoint.port
    health_port = endpoint.health_port or (pool.health_check.port if pool.health_check else None)
    if health_port is None and port != endpoint.port:
        health_port = endpoint.port
    return components.LbEndpoint(
        endpoint=components.Endpoint(
            address=socket_address(endpoint.address, port),
            health_check_config=components.Endpoint.HealthCheckConfig(port_value=health_port) if health_port else None,
        ),
        health_status=HealthStatus.DRAINING if endpoint.state is EndpointState.DRAINING else HealthStatus.UNKNOWN,
    )
