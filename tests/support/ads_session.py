"""Requests and responses of a delta xDS stream, without a network."""

from __future__ import annotations

from kiteway._proto.envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DeltaDiscoveryResponse
from kiteway.envoy.ads.session import Session
from kiteway.envoy.ads.snapshot import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET, Resource, Snapshot


def resource(name: str, version: str = "1", size: int = 0) -> Resource:
    """Return a resource with a body of so many bytes."""
    return Resource(name, version, (b"x" * size,))


def snapshot(**versions: dict[str, str]) -> Snapshot:
    """Return a snapshot of versions by name, by type: cluster, endpoint, secret, listener, route."""
    kinds = {"cluster": CLUSTER, "endpoint": ENDPOINT, "secret": SECRET, "listener": LISTENER, "route": ROUTE}
    return Snapshot({kinds[k]: [resource(n, v) for n, v in these.items()] for k, these in versions.items()})


def ask(
    kind: str, *names: str, held: dict[str, str] | None = None, drop: tuple[str, ...] = ()
) -> DeltaDiscoveryRequest:
    """Return a request that subscribes and unsubscribes."""
    return DeltaDiscoveryRequest(
        type_url=kind,
        resource_names_subscribe=names,
        resource_names_unsubscribe=drop,
        initial_resource_versions=held or {},
    )


def ack(response: DeltaDiscoveryResponse) -> DeltaDiscoveryRequest:
    """Return the acceptance of a response."""
    return DeltaDiscoveryRequest(type_url=response.type_url, response_nonce=response.nonce)


def nack(response: DeltaDiscoveryResponse, message: str = "no") -> DeltaDiscoveryRequest:
    """Return the rejection of a response."""
    request = ack(response)
    request.error_detail.code = 13
    request.error_detail.message = message
    return request


def names(response: DeltaDiscoveryResponse) -> list[str]:
    """Return the names of the resources in a response."""
    return sorted(item.name for item in response.resources)


def started(target: Snapshot) -> Session:
    """Return a session of a client that holds all clusters and listeners of the target."""
    session = Session(target)
    for kind in (CLUSTER, LISTENER):
        for response in session.on_request(ask(kind)):
            assert session.on_request(ack(response)) == []
    return session


def snapshot_of(session: Session) -> Snapshot:
    """Return the snapshot of a session that has one."""
    assert session.snapshot is not None
    return session.snapshot
