"""The three calls that tell a Milvus proxy from everything else.

Paths and field numbers are those of ``milvus.proto`` and ``grpc/health/v1/health.proto``.
"""

import base64
from dataclasses import dataclass

from kiteway.probe import protobuf
from kiteway.probe.grpc import GrpcResult, probe_grpc
from kiteway.probe.own import own_sentence
from kiteway.probe.result import DEFAULT_TIMEOUT, Endpoint
from kiteway.probe.trust import TlsOptions

SERVICE = "/milvus.proto.milvus.MilvusService"
_HEALTH_CHECK = "/grpc.health.v1.Health/Check"
_SERVING = 1


@dataclass(frozen=True, slots=True)
class MilvusResult:
    """A Milvus answer: the gRPC call, and the ``Status`` inside an OK answer."""

    call: GrpcResult
    code: int = 0
    """``Status.code``, else the deprecated ``Status.error_code``; 0 is success."""
    reason: str = ""
    """``Status.reason``."""
    version: str | None = None

    @property
    def ok(self) -> bool:
        """OK by gRPC and by Milvus."""
        return self.call.ok and self.code == 0

    @property
    def balancer(self) -> str:
        """The sentence of an answer that is Kiteway's own: by gRPC, or in Milvus's shape, as it answers ``Connect``."""
        return self.call.balancer or own_sentence(self.reason)


async def get_version(
    endpoint: Endpoint,
    *,
    tls: TlsOptions | None,
    token: str | None = None,
    timeout: float = DEFAULT_TIMEOUT,
) -> MilvusResult:
    """``GetVersion``: answered by the proxy alone, without the rest of the cluster."""
    call = await probe_grpc(
        endpoint,
        f"{SERVICE}/GetVersion",
        tls=tls,
        metadata=_metadata(token),
        timeout=timeout,
    )
    version = protobuf.first(call.body, 2) if call.ok else None
    text = version.decode("utf-8", "replace") if isinstance(version, bytes) else None
    return _with_status(call, text)


async def connect(
    endpoint: Endpoint,
    *,
    tls: TlsOptions | None,
    token: str | None = None,
    timeout: float = DEFAULT_TIMEOUT,
) -> MilvusResult:
    """``Connect``, PyMilvus's first call."""
    client_info = protobuf.text_field(1, "kiteway-probe")
    call = await probe_grpc(
        endpoint,
        f"{SERVICE}/Connect",
        protobuf.bytes_field(2, client_info),
        tls=tls,
        metadata=_metadata(token),
        timeout=timeout,
    )
    return _with_status(call, None)


async def is_serving(
    endpoint: Endpoint,
    *,
    tls: TlsOptions | None,
    token: str | None = None,
    timeout: float = DEFAULT_TIMEOUT,
) -> tuple[bool, GrpcResult]:
    """``grpc.health.v1.Health/Check``: whether it says SERVING, and the call itself."""
    call = await probe_grpc(endpoint, _HEALTH_CHECK, tls=tls, metadata=_metadata(token), timeout=timeout)
    return call.ok and protobuf.first(call.body, 1) == _SERVING, call


def _metadata(token: str | None) -> list[tuple[str, str]]:
    # base64 without a scheme word: Milvus's own form, not HTTP's.
    return [("authorization", base64.b64encode(token.encode()).decode())] if token else []


def _with_status(call: GrpcResult, version: str | None) -> MilvusResult:
    status = protobuf.first(call.body, 1) if call.ok else None
    if not isinstance(status, bytes):
        return MilvusResult(call, version=version)
    code = protobuf.first(status, 3) or protobuf.first(status, 1) or 0
    reason = protobuf.first(status, 2)
    return MilvusResult(
        call,
        code=code if isinstance(code, int) else 0,
        reason=reason.decode("utf-8", "replace") if isinstance(reason, bytes) else "",
        version=version,
    )
