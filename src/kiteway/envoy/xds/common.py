"""Names and small constructors that every resource type shares."""

from __future__ import annotations

from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from kiteway._proto.envoy.config.core.v3.address_pb2 import Address, SocketAddress
from kiteway._proto.envoy.config.core.v3.config_source_pb2 import AggregatedConfigSource, ApiVersion, ConfigSource
from kiteway._proto.envoy.type.matcher.v3.regex_pb2 import RegexMatcher
from kiteway.diagnostics import ObjectRef
from kiteway.model import PoolKey

HTTPS_LISTENER = "https"
HTTP_LISTENER = "http"
GRPC_LISTENER = "grpc"


def grpc_cluster_name(key: PoolKey) -> str:
    """Name the HTTP/2 cluster of a pool."""
    return grpc_cluster_name_of(str(key))


def grpc_cluster_name_of(pool: str) -> str:
    """Name the HTTP/2 cluster of a pool by the pool's name, NAMESPACE/SERVICE/PORT."""
    return f"pool/{pool}/grpc"


def rest_cluster_name(key: PoolKey) -> str:
    """Name the HTTP/1.1 cluster of a pool."""
    return f"pool/{key}/rest"


def secret_name(certificate: str) -> str:
    """Name the SDS secret of a certificate."""
    return f"certificate/{certificate}"


def bundle_name(source: ObjectRef) -> str:
    """Name the SDS secret of the CAs in a Secret."""
    return f"ca/{source.namespace}/{source.name}"


def own_routes_name(domain: str) -> str:
    """Name the route table of a host that is served only on connections with its own SNI."""
    return f"{HTTPS_LISTENER}/{domain}"


def source_name(source: ObjectRef) -> str:
    """Return the part of a resource name that identifies the object it comes from."""
    return f"{source.kind.lower()}/{source.namespace}/{source.name}"


def pack(message: Message) -> Any:
    """Wrap a message, serialised deterministically: equal content has equal bytes."""
    wrapped = Any()
    wrapped.Pack(message, deterministic=True)
    return wrapped


def regex(expression: str) -> RegexMatcher:
    """
    Return a matcher of the whole text.

    RE2 builds a table for each deterministic ("one-pass") expression. Only captures need this table, and Envoy uses no
    captures. The table for the names of forty rpcs takes a third of a megabyte, and with a thousand hosts there are thousands
    of copies. The alternative at the beginning matches nothing more, but makes the expression ambiguous, so that RE2 builds
    no table.
    """
    return RegexMatcher(regex=rf"(?:|\B)(?:{expression})")


def seconds(value: float) -> Duration:
    """Return a duration."""
    whole = int(value)
    return Duration(seconds=whole, nanos=round((value - whole) * 1e9))


def socket_address(host: str, port: int, network_namespace: str | None = None) -> Address:
    """Return a TCP address."""
    return Address(
        socket_address=SocketAddress(address=host, port_value=port, network_namespace_filepath=network_namespace or "")
    )


def ads() -> ConfigSource:
    """Return the config source of resources that come over ADS."""
    return ConfigSource(ads=AggregatedConfigSource(), resource_api_version=ApiVersion.V3)
