"""Timeouts and retries by rpc class."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from google.protobuf.wrappers_pb2 import UInt32Value

from kiteway._proto.envoy.config.route.v3.route_components_pb2 import RetryPolicy
from kiteway._proto.envoy.extensions.retry.host.previous_hosts.v3.previous_hosts_pb2 import PreviousHostsPredicate
from kiteway.envoy.xds.common import pack, seconds
from kiteway.milvus.catalogue import RpcClass, catalogue, path_regex


@dataclass(frozen=True, slots=True)
class CallPolicy:
    """
    How the calls of some rpc classes are treated.

    Attributes:
        name: says in a route's name which policy it is.
        regex: the paths, as an RE2 expression; None matches every call.
        timeout: seconds a whole call may take, retries included; None has no limit (streams).
        repeatable: whether sending it twice does no harm. Others are only sent again when it is certain that
            nothing of them reached an endpoint.
    """

    name: str
    regex: str | None
    timeout: float | None
    repeatable: bool


_LONG = 3600.0
"""Loads, imports, flushes and the like run for as long as the data needs."""


@functools.cache
def grpc_policies() -> tuple[CallPolicy, ...]:
    """
    Return the policies for gRPC in the order they are tried; the last one matches what is not in the catalogue.

    The source of the classes is the catalogue of rpcs.
    """
    rpcs = catalogue()
    streams = [rpc for rpc in rpcs if rpc.streaming]
    reads = [rpc for rpc in rpcs if rpc.rpc_class is RpcClass.READ]
    safe = [rpc for rpc in rpcs if rpc.retry_safe and rpc.rpc_class is not RpcClass.READ and not rpc.streaming]
    return (
        CallPolicy("read", path_regex(reads), 600.0, repeatable=True),
        CallPolicy("meta-read", path_regex(safe), 120.0, repeatable=True),
        CallPolicy("stream", path_regex(streams), None, repeatable=False),
        CallPolicy("write", None, _LONG, repeatable=False),
    )


_REST_READS = (
    r"/v1/vector/(?:query|get|search|collections(?:/describe)?)"
    r"|/v2/vectordb/(?:entities/(?:query|get|search|advanced_search|hybrid_search)"
    r"|[a-z_/]+/(?:list|describe|has|get_stats|get_load_state|get_progress))"
)
"""The REST calls that only read: both versions of Milvus's REST API read by POST as well."""


@functools.cache
def rest_policies() -> tuple[CallPolicy, ...]:
    """Return the policies for REST in the order they are tried."""
    return (
        CallPolicy("rest-read", _REST_READS, 600.0, repeatable=True),
        CallPolicy("rest-write", None, _LONG, repeatable=False),
    )


def retry_policy(policy: CallPolicy) -> RetryPolicy:
    """
    Return the retries of a policy.

    What may be repeated is tried on another endpoint after any failure of the connection or of the endpoint; the
    rest only where Envoy knows that nothing was sent (``connect-failure``, ``refused-stream``).
    """
    retry = RetryPolicy(
        num_retries=UInt32Value(value=4 if policy.repeatable else 2),
        retry_host_predicate=[
            RetryPolicy.RetryHostPredicate(
                name="envoy.retry_host_predicates.previous_hosts", typed_config=pack(PreviousHostsPredicate())
            )
        ],
        host_selection_retry_max_attempts=5,
        retry_back_off=RetryPolicy.RetryBackOff(base_interval=seconds(0.025), max_interval=seconds(0.25)),
    )
    if policy.repeatable:
        retry.retry_on = "connect-failure,refused-stream,reset,unavailable"
        if policy.name.startswith("rest"):
            retry.retry_on = "connect-failure,refused-stream,reset,gateway-error"
    else:
        retry.retry_on = "connect-failure,refused-stream"
    return retry
