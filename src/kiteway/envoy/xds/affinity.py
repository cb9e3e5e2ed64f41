"""How calls are spread over the endpoints of a pool: by load, or by affinity to one endpoint."""

from __future__ import annotations

from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import UInt32Value, UInt64Value

from kiteway._proto.envoy.config.cluster.v3.cluster_pb2 import LoadBalancingPolicy
from kiteway._proto.envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from kiteway._proto.envoy.config.route.v3.route_components_pb2 import RouteAction
from kiteway._proto.envoy.extensions.load_balancing_policies.least_request.v3.least_request_pb2 import LeastRequest
from kiteway._proto.envoy.extensions.load_balancing_policies.ring_hash.v3.ring_hash_pb2 import RingHash
from kiteway.envoy.xds.common import pack, seconds
from kiteway.model import Affinity, AffinityType

COOKIE = "GCLB"
"""The name of the cookie that GCP's load balancers generate."""

_RING_SIZE = 1024


def load_balancing(affinity: Affinity) -> LoadBalancingPolicy:
    """Return least request; with affinity a hash ring, which moves few clients when the endpoints change."""
    if affinity.type is AffinityType.NONE:
        return _policy("least_request", _least_request())
    ring = RingHash(hash_function=RingHash.XX_HASH, minimum_ring_size=UInt64Value(value=_RING_SIZE))
    return _policy("ring_hash", ring)


def hash_policy(affinity: Affinity) -> list[RouteAction.HashPolicy]:
    """Return the property of a request by which its endpoint is chosen."""
    policy = RouteAction.HashPolicy()
    match affinity.type:
        case AffinityType.NONE:
            return []
        case AffinityType.CLIENT_IP:
            policy.connection_properties.source_ip = True
        case AffinityType.GENERATED_COOKIE:
            policy.cookie.name = COOKIE
            policy.cookie.path = "/"
            # A TTL of 0 makes a cookie that lives until the client closes; without one Envoy generates none.
            policy.cookie.ttl.CopyFrom(seconds(affinity.cookie_ttl))
            policy.cookie.attributes.add(name="HttpOnly")
    return [policy]


CHOICES = 5
"""
How many endpoints are drawn at random for a call; the one with the fewest active calls gets it.

They are drawn with repetition. With Envoy's default, 2, every ninth call has no choice but a slow endpoint of three, with
5 every 243rd. (A full scan would choose an endpoint that fails again and again, since it has no active calls.)
"""


def _least_request() -> LeastRequest:
    """
    Return least request without slow start.

    With slow start Envoy (1.40) switches to a weighted schedule while an endpoint is new, and keeps it until the members
    change again: the p99 with one slow proxy of three doubles (docs/design/traffic.md). A new proxy that is slow gets fewer
    calls anyway, since its calls stay active longer.
    """
    return LeastRequest(choice_count=UInt32Value(value=CHOICES))


def _policy(name: str, message: Message) -> LoadBalancingPolicy:
    return LoadBalancingPolicy(
        policies=[
            LoadBalancingPolicy.Policy(
                typed_extension_config=TypedExtensionConfig(
                    name=f"envoy.load_balancing_policies.{name}", typed_config=pack(message)
                )
            )
        ]
    )
