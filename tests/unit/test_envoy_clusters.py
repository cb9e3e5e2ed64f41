"""What is read of Envoy's list of clusters."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from kiteway.envoy.clusters import Attempts, ClusterStatus, EndpointStatus, read_clusters
from kiteway.report.pools import EndpointFailure


def read(*hosts: Any) -> tuple[EndpointStatus, ...]:
    """Return the endpoints of a cluster."""
    text = json.dumps({"cluster_statuses": [{"name": "pool", "added_via_api": True, "host_statuses": hosts}]})
    return read_clusters(text.encode())["pool"].endpoints


def test_an_endpoint_is_read_as_proto3_writes_it() -> None:
    """64-bit integers are strings, zero and false are absent, and other fields are skipped."""
    (endpoint,) = read(
        {
            "address": {"socket_address": {"address": "::1", "port_value": 19530}},
            "stats": [
                {"type": "GAUGE", "value": "18446744073709551615", "name": "rq_active"},
                {"type": "COUNTER", "name": "rq_total"},
            ],
            "health_status": {
                "failed_active_health_check": True,
                "eds_health_status": "DRAINING",
                "a_flag_of_a_newer_envoy": True,
            },
            "weight": 7,
            "hostname": "milvus",
            "locality": {"zone": "a"},
        }
    )
    assert (endpoint.host, endpoint.address, endpoint.weight, endpoint.healthy) == ("::1", "[::1]:19530", 7, False)
    assert endpoint.failures == {EndpointFailure.ACTIVE_CHECK, EndpointFailure.EDS_DRAINING, EndpointFailure.OTHER}
    assert endpoint.attempts == Attempts(active=2**64 - 1)


@pytest.mark.parametrize("health", ["HEALTHY", "UNKNOWN"])
def test_a_unix_socket_is_an_endpoint(health: str) -> None:
    """The address of a unix socket is its path, and without flags it is healthy."""
    (endpoint,) = read({"address": {"pipe": {"path": "/run/s"}}, "health_status": {"eds_health_status": health}})
    assert endpoint == EndpointStatus("/run/s", frozenset(), 1)


def test_a_cluster_can_be_empty() -> None:
    """Envoy omits what is empty."""
    assert read_clusters(b"{}") == {}
    assert read_clusters(b'{"cluster_statuses":[{"name":"pool"}]}') == {"pool": ClusterStatus("pool", ())}


@pytest.mark.parametrize("text", [b"", b"OK", b"[]", b'{"cluster_statuses":{}}', b'{"cluster_statuses":[{}]}', b"\xff"])
def test_something_else_is_an_error(text: bytes) -> None:
    """Text that is not a list of clusters raises one kind of error."""
    with pytest.raises(msgspec.DecodeError):
        read_clusters(text)
