"""All xDS resources of a model."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from google.protobuf.message import Message

from kiteway._proto.envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from kiteway.envoy.ads.snapshot import CLUSTER, LISTENER, ROUTE, SECRET, Resource
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.assembled import Assembled
from kiteway.envoy.xds.clusters import clusters
from kiteway.envoy.xds.collector import collector, token
from kiteway.envoy.xds.endpoints import assignments
from kiteway.envoy.xds.listeners import listeners
from kiteway.envoy.xds.routes import route_configurations
from kiteway.envoy.xds.secrets import bundle_secret, secret
from kiteway.memo import Memo
from kiteway.model import EndpointTable, LoadBalancer, Pool, TLSChallenge

Part = Message | Assembled
"""A resource, as one message or as its parts."""


def build(model: LoadBalancer, settings: EnvoySettings) -> list[Message]:
    """Return every resource of a model except the endpoints, which take a path of their own."""
    return [
        part.message() if isinstance(part, Assembled) else part
        for parts in _parts(model, settings, Memo()).values()
        for part in parts
    ]


def build_resources(model: LoadBalancer, settings: EnvoySettings, memo: Memo) -> dict[str, tuple[Resource, ...]]:
    """
    Return what `build` returns, serialised, by type URL.

    With ``memo`` of the last round, unchanged values are the objects of that round.
    """
    return {kind: memo.each(kind, _serialised, parts) for kind, parts in _parts(model, settings, memo).items()}


def shared_tables(model: LoadBalancer, settings: EnvoySettings, memo: Memo) -> tuple[Assembled, ...]:
    """Return the route tables that all hosts share; with ``memo`` of a round, those that `build_resources` built in it."""
    return tuple(each for each in route_configurations(model, settings, memo) if isinstance(each, Assembled))


def _serialised(part: Part) -> Resource:
    return part.resource() if isinstance(part, Assembled) else Resource.of(part)


def _parts(model: LoadBalancer, settings: EnvoySettings, memo: Memo) -> dict[str, tuple[Part, ...]]:
    shown = (pool.tls.client_certificate for pool in model.pools)
    certificates = {c.name: c for c in (*model.certificates, *shown) if c is not None}
    otlp = () if settings.otlp is None else (settings.otlp,)
    return {
        CLUSTER: (
            *itertools.chain.from_iterable(memo.each(CLUSTER, clusters, model.pools, settings)),
            *(memo(collector, each, settings.listener_network_namespace) for each in otlp),
        ),
        SECRET: (
            *(secret for each in otlp for secret in memo(token, each)),
            *memo.each(SECRET, secret, tuple(certificates.values())),
            *memo.each(SECRET, bundle_secret, model.bundles),
            *(secret(c.certificate) for c in model.challenges if isinstance(c, TLSChallenge)),
        ),
        LISTENER: tuple(listeners(model, settings, memo)),
        ROUTE: tuple(route_configurations(model, settings, memo)),
    }


def build_endpoints(pools: Iterable[Pool], endpoints: EndpointTable) -> list[ClusterLoadAssignment]:
    """Return the load assignments of ``pools``; a pool without endpoints gets an empty one."""
    return [message for pool in pools for message in assignments(pool, endpoints.get(pool.key, ()))]
