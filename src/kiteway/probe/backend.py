"""Probes a Milvus address: TLS, version and health port."""

from dataclasses import dataclass

from kiteway.probe import milvus
from kiteway.probe.belongs import same_process
from kiteway.probe.grpc import STATUS_NAMES
from kiteway.probe.http import probe_http
from kiteway.probe.result import DEFAULT_TIMEOUT, Endpoint, Reason
from kiteway.probe.tls import TlsResult, probe_tls
from kiteway.probe.trust import TlsOptions

HEALTH_PORT = 9091
"""Milvus's management port (``METRICS_PORT``)."""
HEALTH_PATH = "/healthz"
BELONGS_SECONDS = 3.0
"""Seconds to find out whether a health port belongs to the Milvus."""

_UNAUTHENTICATED = STATUS_NAMES.index("UNAUTHENTICATED")
_NO_TCP = frozenset(
    {
        Reason.NAME_NOT_FOUND,
        Reason.RESOLVER_FAILED,
        Reason.CONNECTION_REFUSED,
        Reason.CONNECT_TIMEOUT,
        Reason.UNREACHABLE,
        Reason.CONNECTION_FAILED,
    }
)


@dataclass(frozen=True, slots=True)
class BackendFacts:
    """The properties of a Milvus that probes without credentials can find."""

    reachable: bool
    """Its serving port accepted a TCP connection."""
    tls: bool
    alpn_h2: bool
    """It chooses ``h2`` by ALPN, as gRPC clients and GKE's balancer require."""
    server_names: tuple[str, ...]
    """The names in its certificate."""
    mutual_tls: bool
    """It demands a client certificate (``tlsMode: 2``)."""
    health_port: int | None
    health_path: str
    milvus_version: str | None
    """The answer to ``GetVersion``; None if there was none or it requires credentials."""
    needs_auth: bool
    other_protocol: bool
    """What answers there does not speak HTTP/2, so it is no port for gRPC."""
    reason: str | None
    """The first difference from a ready Milvus, as a sentence; None if there is none."""


async def detect(
    host: str,
    port: int,
    *,
    health_port: int | None = None,
    find_health: bool = True,
    timeout: float = DEFAULT_TIMEOUT,
) -> BackendFacts:
    """Find out whether the Milvus at ``host:port`` speaks TLS and where its health answers.

    Certificates are read, not verified.

    Args:
        host: a name, or an IPv4 or IPv6 address without brackets.
        port: its gRPC port.
        health_port: its health port; it is probed, without a test whether it belongs to the Milvus.
        find_health: whether to use 9091 if it answers and is seen to belong to the Milvus.
        timeout: seconds for each of a few probes.
    """
    endpoint = Endpoint(host, port)
    seen = await probe_tls(endpoint, TlsOptions(verify=False), timeout=timeout)
    failed = seen.failure.reason if seen.failure else None
    if seen.failure is not None and failed in _NO_TCP:
        return _facts(seen, reachable=False, health_port=health_port, reason=seen.failure.detail)
    tls = seen.version is not None or failed is Reason.CLIENT_CERTIFICATE_REQUIRED
    mutual = failed is Reason.CLIENT_CERTIFICATE_REQUIRED
    health_reason = None
    if health_port is not None:
        _, health_reason = await _ask_health(Endpoint(host, health_port), timeout=timeout)
    elif find_health:
        health_port, health_reason = await _find_health(endpoint, timeout=timeout)
    if mutual:
        return _facts(
            seen,
            tls=True,
            mutual_tls=True,
            health_port=health_port,
            reason="the server demands a client certificate (tlsMode: 2); set tlsMode to 1 or 0",
        )
    answer = await milvus.get_version(endpoint, tls=TlsOptions(verify=False) if tls else None, timeout=timeout)
    needs_auth = answer.call.status == _UNAUTHENTICATED
    reason = None if needs_auth else _not_milvus(answer, seen)
    failure = answer.call.failure
    other = failure is not None and failure.reason is Reason.NOT_HTTP2
    if other and not tls and await _is_health_port(endpoint, timeout=timeout):
        reason = (
            f"this is the port of Milvus's health check ({HEALTH_PATH} answers); Milvus serves gRPC on another port"
        )
    return _facts(
        seen,
        tls=tls,
        health_port=health_port,
        milvus_version=answer.version,
        needs_auth=needs_auth,
        other_protocol=other,
        reason=reason or health_reason,
    )


def _facts(
    seen: TlsResult,
    *,
    reachable: bool = True,
    tls: bool = False,
    mutual_tls: bool = False,
    health_port: int | None = None,
    milvus_version: str | None = None,
    needs_auth: bool = False,
    other_protocol: bool = False,
    reason: str | None = None,
) -> BackendFacts:
    return BackendFacts(
        reachable=reachable,
        tls=tls,
        alpn_h2=seen.alpn == "h2",
        server_names=seen.server_names,
        mutual_tls=mutual_tls,
        health_port=health_port,
        health_path=HEALTH_PATH,
        milvus_version=milvus_version,
        needs_auth=needs_auth,
        other_protocol=other_protocol,
        reason=reason,
    )


def _not_milvus(answer: milvus.MilvusResult, seen: TlsResult) -> str | None:
    call = answer.call
    if answer.balancer:
        return f"no Milvus answers there, but a Kiteway: {answer.balancer}"
    if call.redirected:
        return f"no Milvus answers there: the call is redirected to {call.location}"
    if call.failure is not None:
        tls_said = seen.failure.detail if seen.failure and seen.version is None else ""
        return f"no Milvus answers there: {call.failure.detail}" + (f"; {tls_said}" if tls_said else "")
    if not call.ok:
        return f"it answers GetVersion with {call.status_name}: {call.message}"
    if answer.code:
        return f"Milvus is not ready: {answer.reason or answer.code}"
    if not answer.version:
        return "it answers GetVersion, but without a version"
    return None


async def _find_health(serving: Endpoint, *, timeout: float) -> tuple[int | None, str | None]:
    """The health port and None, or None and why not; with an unhealthy answer both are given."""
    endpoint = Endpoint(serving.host, HEALTH_PORT)
    port, reason = await _ask_health(endpoint, timeout=timeout)
    if port is not None and not await same_process(serving, endpoint, timeout=BELONGS_SECONDS):
        return None, (
            f"the test could not show that {HEALTH_PATH} at {endpoint} belongs to the Milvus at {serving}; "
            f"if it does, give health={HEALTH_PORT}"
        )
    return port, reason


async def _is_health_port(endpoint: Endpoint, *, timeout: float) -> bool:
    port, _ = await _ask_health(endpoint, timeout=timeout)
    return port is not None


async def _ask_health(endpoint: Endpoint, *, timeout: float) -> tuple[int | None, str | None]:
    answer = await probe_http(endpoint, HEALTH_PATH, timeout=timeout)
    if answer.status == 200:
        return endpoint.port, None
    if answer.status in (500, 503):
        # Unhealthy is an answer too: the port is right.
        return (
            endpoint.port,
            f"Milvus says it is not healthy: {answer.body.strip()[:200]}",
        )
    seen = answer.failure.detail if answer.failure else f"HTTP {answer.status}"
    return None, f"no health answer on port {endpoint.port} ({HEALTH_PATH}): {seen}"
