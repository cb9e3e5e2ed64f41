"""Pools: one Service port, with everything its endpoints share."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple

from kiteway.diagnostics import ObjectRef
from kiteway.model.cache import Cache
from kiteway.model.certificates import Certificate, TrustBundle


class PoolKey(NamedTuple):
    """A Service port by number: the identity of a pool."""

    namespace: str
    service: str
    port: int

    def __str__(self) -> str:
        return f"{self.namespace}/{self.service}/{self.port}"


class BackendProtocol(enum.StrEnum):
    """
    The value of ``cloud.google.com/app-protocols`` for the port.

    ``HTTP2`` is TLS with ALPN h2, ``HTTPS`` is TLS, ``HTTP`` is plaintext. On GKE ``HTTP`` and ``HTTPS`` mean
    HTTP/1.1; here gRPC is carried as HTTP/2 on each of them (h2c on ``HTTP``), because nothing else can carry it.
    """

    HTTP = "HTTP"
    HTTPS = "HTTPS"
    HTTP2 = "HTTP2"

    @property
    def tls(self) -> bool:
        """Whether connections to the endpoints use TLS."""
        return self is not BackendProtocol.HTTP


class HealthCheckType(enum.StrEnum):
    """The protocol of a health check: BackendConfig ``healthCheck.type``, or TCP where there is none."""

    HTTP = "HTTP"
    HTTPS = "HTTPS"
    HTTP2 = "HTTP2"
    TCP = "TCP"
    """A connection (and handshake) on the serving port; GKE would ask for ``/``, which Milvus does not answer."""


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """
    An active health check, with GKE's NEG defaults.

    Attributes:
        type: the protocol.
        port: a fixed port; None is the serving port (``USE_SERVING_PORT``).
        request_path: the path asked for.
        interval: seconds between two checks.
        timeout: seconds until a check has failed.
        healthy_threshold: successes in a row that make an endpoint healthy.
        unhealthy_threshold: failures in a row that make it unhealthy.
    """

    type: HealthCheckType = HealthCheckType.HTTP
    port: int | None = None
    request_path: str = "/"
    interval: int = 15
    timeout: int = 15
    healthy_threshold: int = 1
    unhealthy_threshold: int = 2


class AffinityType(enum.StrEnum):
    """BackendConfig ``sessionAffinity.affinityType``."""

    NONE = "NONE"
    CLIENT_IP = "CLIENT_IP"
    GENERATED_COOKIE = "GENERATED_COOKIE"


@dataclass(frozen=True, slots=True)
class Affinity:
    """Session affinity; ``cookie_ttl`` is in seconds, 0 is a session cookie."""

    type: AffinityType = AffinityType.NONE
    cookie_ttl: int = 0


@dataclass(frozen=True, slots=True)
class UpstreamTLS:
    """
    How the endpoints' certificate is verified, and which certificate is shown to the endpoints.

    Without ``ca`` any certificate is accepted, as GKE does; ``status`` says so.

    Attributes:
        server_name: the SNI and, with ``ca``, the name the certificate must carry; None sends no SNI.
        ca: the CA that verifies the endpoints' certificates.
        client_certificate: what is shown to the endpoints (Milvus ``tlsMode: 2``).
    """

    server_name: str | None = None
    ca: TrustBundle | None = None
    client_certificate: Certificate | None = None


@dataclass(frozen=True, slots=True)
class Pool:
    """
    One Service port.

    Attributes:
        key: its identity.
        protocol: see `BackendProtocol`.
        health_check: the active check; None without one.
        source: the Service.
        timeout: seconds a whole call may take (``timeoutSec``); None leaves it to the rpc class.
        draining: seconds calls in flight have when an endpoint leaves (``drainingTimeoutSec``).
        affinity: see `Affinity`.
        rest: whether the endpoints serve REST at all.
        rest_port: the port REST is served on when it is not the pool's own; None is the pool's own. Only with ``rest``.
        tls: see `UpstreamTLS`; used when ``protocol.tls``.
        milvus: whether its endpoints were recognized as Milvus, which accepts frequent keepalive pings.
        cache: its cache; None without one. It needs Kiteway's filter.
    """

    key: PoolKey
    protocol: BackendProtocol
    health_check: HealthCheck | None
    source: ObjectRef
    timeout: int | None = None
    draining: int = 0
    affinity: Affinity = Affinity()
    rest: bool = True
    rest_port: int | None = None
    tls: UpstreamTLS = UpstreamTLS()
    milvus: bool = False
    cache: Cache | None = None

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for a REST port without REST."""
        if self.rest_port is not None and not self.rest:
            raise ValueError(f"{self.key}: the REST port {self.rest_port} without REST")
