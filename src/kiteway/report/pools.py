"""Pools and their endpoints: which endpoints get calls, which do not, and why."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Collection

import msgspec

from kiteway.model import BackendProtocol
from kiteway.report.caches import CacheReport


class EndpointFailure(enum.StrEnum):
    """Why Envoy sends an endpoint no calls: the flags of its `HostHealthStatus` and its EDS health."""

    ACTIVE_CHECK = "failed_active_health_check"
    CHECK_TIMEOUT = "active_hc_timeout"
    CHECK_PENDING = "pending_active_hc"
    OUTLIER = "failed_outlier_check"
    DEGRADED = "failed_degraded_active_hc"
    LEAVING = "pending_dynamic_removal"
    EXCLUDED = "excluded_via_immediate_hc_fail"
    EDS_UNHEALTHY = "eds_unhealthy"
    EDS_DRAINING = "eds_draining"
    EDS_TIMEOUT = "eds_timeout"
    EDS_DEGRADED = "eds_degraded"
    OTHER = "other"
    """A flag of an Envoy that is newer than this Kiteway."""

    @classmethod
    def _missing_(cls, value: object) -> EndpointFailure:  # noqa: ARG003 - the signature is enum's
        return cls.OTHER


class EndpointHealth(enum.StrEnum):
    """The health of an endpoint, from Envoy's flags."""

    HEALTHY = "healthy"
    FAILING = "failing"
    """It was checked and failed."""
    EJECTED = "ejected"
    """Its calls fail: Envoy's outlier detection sends it none for a while."""
    PENDING = "pending"
    """It was not checked yet."""
    LEAVING = "leaving"
    """It drains, or is no longer an endpoint of the Service."""
    UNHEALTHY = "unhealthy"
    """Another flag is set."""

    @classmethod
    def of_failures(cls, failures: Collection[EndpointFailure]) -> EndpointHealth:
        """Return the health that follows from Envoy's flags."""
        if not failures:
            return cls.HEALTHY
        if not _LEAVING.isdisjoint(failures):
            return cls.LEAVING
        if EndpointFailure.CHECK_PENDING in failures:
            return cls.PENDING
        if EndpointFailure.ACTIVE_CHECK in failures:
            return cls.FAILING
        return cls.EJECTED if EndpointFailure.OUTLIER in failures else cls.UNHEALTHY


_LEAVING = frozenset({EndpointFailure.LEAVING, EndpointFailure.EDS_DRAINING})


class EndpointReport(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """
    An endpoint.

    Attributes:
        address: HOST:PORT.
        healthy: whether Envoy counts it as healthy.
        health: the state that follows from `failures`. `failing`: it was checked and failed. `ejected`: calls to it failed,
            so Envoy sends it none for a while. `pending`: it was not checked yet. `leaving`: it drains, or was removed from
            the Service. `unhealthy`: another flag is set.
        failures: Envoy's flags; none when it is healthy.
        check: its health check, for example `HTTP /healthz on port 9091`; empty without one.
        check_fails: whether it was checked and failed.
        why: why it fails its check, as the control plane found by repeating the check; empty when that is not known.
        since: since when `health` is what it is, as the control plane saw it, which looks every 5 seconds; null when
            Envoy ran before the control plane began to look, and it may have been so then.
        calls_fail: why every call to it fails although it passes its check, as the control plane found by connecting to it,
            and what to do; empty when that is not so.
        calls_fail_since: since when that was seen; null when `calls_fail` is empty.
        calls: attempts since Envoy's start, gRPC and REST, as `kiteway top` counts them.
        errors: those of them that ended with an error: Milvus's own code in the answer, another gRPC status than OK, HTTP
            400 or more, or no answer. Without the filter, Milvus's own codes are not seen.
        active: calls in progress.
    """

    address: str
    healthy: bool
    health: EndpointHealth
    failures: tuple[EndpointFailure, ...] = ()
    check: str = ""
    check_fails: bool = False
    why: str = ""
    since: dt.datetime | None = None
    calls_fail: str = ""
    calls_fail_since: dt.datetime | None = None
    calls: int = 0
    errors: int = 0
    active: int = 0


class UpstreamTlsReport(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """
    The connection to the endpoints of a pool.

    Attributes:
        verified: whether the certificate of an endpoint is verified.
        how: plaintext or TLS, and how it is verified, in one sentence.
        ca: KIND NAMESPACE/NAME of the CA; null without verification.
        server_name: the SNI, which the certificate must carry when it is verified; null for none.
        client_certificate: the name of the certificate that is sent to the endpoints; null for none.
        problems: sentences about handshakes that failed since Envoy's start.
    """

    verified: bool
    how: str
    ca: str | None = None
    server_name: str | None = None
    client_certificate: str | None = None
    problems: tuple[str, ...] = ()


class CheckedEndpoint(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """
    An endpoint and its health check, as it was seen last.

    Attributes:
        address: HOST:PORT.
        check: the check in words; empty without one.
        check_fails: whether the endpoint fails it.
        why: why; empty when that is not known.
        calls_fail: why every call to it fails although it passes; empty when that is not so.
    """

    address: str
    check: str
    check_fails: bool
    why: str = ""
    calls_fail: str = ""


class PoolReport(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """
    A pool: one port of a Service.

    Attributes:
        name: NAMESPACE/SERVICE/PORT.
        protocol: the protocol of the endpoints, as in the annotation `app-protocols`.
        rest: whether the endpoints serve REST.
        endpoints: the endpoints that Envoy has.
        tls: the connection to them.
        keepalive_seconds: seconds between two keepalive pings to an endpoint.
        cache: its cache.
    """

    name: str
    protocol: BackendProtocol
    rest: bool
    endpoints: tuple[EndpointReport, ...]
    tls: UpstreamTlsReport
    keepalive_seconds: float
    cache: CacheReport = CacheReport()
