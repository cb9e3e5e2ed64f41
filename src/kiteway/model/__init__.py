"""
The load balancer as frozen values: what the resources mean, independent of Envoy.

Endpoints are not part of it. They change far more often than anything else, so they take a path of their own, keyed by
`PoolKey` (see `kiteway.model.endpoints`), and never run a translation.
"""

from kiteway.model.cache import Cache, CachedCollection
from kiteway.model.certificates import Certificate, ClientAuth, PrivateKey, TLSProfile, TrustBundle
from kiteway.model.challenges import Challenge, HTTPChallenge, TLSChallenge
from kiteway.model.endpoints import Endpoint, EndpointState, EndpointTable, ServiceName
from kiteway.model.hosts import (
    ENCRYPTED,
    HeaderValue,
    HTTPMode,
    PathMatch,
    PathMatchType,
    RedirectCode,
    Route,
    VirtualHost,
    differ_by_path,
)
from kiteway.model.listeners import Listener, ListenerProtocol
from kiteway.model.loadbalancer import LoadBalancer, ServerNames
from kiteway.model.policy import NO_POLICY, Admission, Limit, LimitKey, Policy, PolicyOrigin, PolicyReason
from kiteway.model.pools import (
    Affinity,
    AffinityType,
    BackendProtocol,
    HealthCheck,
    HealthCheckType,
    Pool,
    PoolKey,
    UpstreamTLS,
)

__all__ = [
    "ENCRYPTED",
    "NO_POLICY",
    "Admission",
    "Affinity",
    "AffinityType",
    "BackendProtocol",
    "Cache",
    "CachedCollection",
    "Certificate",
    "Challenge",
    "ClientAuth",
    "Endpoint",
    "EndpointState",
    "EndpointTable",
    "HTTPChallenge",
    "HTTPMode",
    "HeaderValue",
    "HealthCheck",
    "HealthCheckType",
    "Limit",
    "LimitKey",
    "Listener",
    "ListenerProtocol",
    "LoadBalancer",
    "PathMatch",
    "PathMatchType",
    "Policy",
    "PolicyOrigin",
    "PolicyReason",
    "Pool",
    "PoolKey",
    "PrivateKey",
    "RedirectCode",
    "Route",
    "ServerNames",
    "ServiceName",
    "TLSChallenge",
    "TLSProfile",
    "TrustBundle",
    "UpstreamTLS",
    "VirtualHost",
    "differ_by_path",
]
