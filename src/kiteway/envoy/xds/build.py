"""All of the xDS of a model."""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf.message import Message

from kiteway._proto.envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.clusters import clusters
from kiteway.envoy.xds.endpoints import assignments
from kiteway.envoy.xds.kept import Kept
from kiteway.envoy.xds.listeners import listeners
from kiteway.envoy.xds.routes import route_configurations
from kiteway.envoy.xds.secrets import secret
from kiteway.model import Endpoint, EndpointTable, LoadBalancer, Pool, TLSChallenge


def build(model: LoadBalancer, settings: EnvoySettings, kept: Kept | None = None) -> list[Message]:
    """
    Return every resource of a model but the endpoints, which flow apart.

    With ``kept`` of the last round, what did not change is the very message of then. Messages are not to be changed.
    """
    kept = kept or Kept()
    result: list[Message] = []
    for pool in model.pools:
        result += kept(clusters, pool, settings)
    shown = (pool.tls.client_certificate for pool in model.pools)
    certificates = {c.name: c for c in (*model.certificates, *shown) if c is not None}
    result += (kept(secret, certificate) for certificate in certificates.values())
    result += (secret(c.certificate) for c in model.challenges if isinstance(c, TLSChallenge))
    result += listeners(model, settings, kept)
    result += route_configurations(model, settings, kept)
    return result


def build_endpoints(
    pools: Iterable[Pool], endpoints: EndpointTable, kept: Kept | None = None
) -> list[ClusterLoadAssignment]:
    """Return the load assignments of ``pools``; a pool without endpoints gets an empty one."""
    kept = kept or Kept()
    return [message for pool in pools for message in kept(assignments, pool, _of(endpoints, pool))]


def _of(endpoints: EndpointTable, pool: Pool) -> tuple[Endpoint, ...]:
    return endpoints.get(pool.key, ())
