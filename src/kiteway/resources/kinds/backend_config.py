"""BackendConfig: GKE's settings for the ports of a Service."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from kiteway.diagnostics import Severity
from kiteway.resources import reasons
from kiteway.resources.kinds.backend_config_google import CDNConfig, IAPConfig, SecurityPolicyConfig
from kiteway.resources.object import Object
from kiteway.resources.places import quoted
from kiteway.resources.rules import between, custom_headers, dns_subdomain, port_number
from kiteway.resources.schema import Origin, Rule, Violation, described

_ORIGIN = Origin.BACKEND_CONFIG
_V1 = "cloud.google.com/v1"
_V1BETA1 = "cloud.google.com/v1beta1"


class AffinityType(enum.StrEnum):
    """The property of a client that decides its endpoint."""

    NONE = "NONE"
    CLIENT_IP = "CLIENT_IP"
    GENERATED_COOKIE = "GENERATED_COOKIE"


class HealthCheckType(enum.StrEnum):
    """The protocol of a health check. GKE has no gRPC and no TCP here."""

    HTTP = "HTTP"
    HTTPS = "HTTPS"
    HTTP2 = "HTTP2"

    ADVICE = enum.nonmember(
        "Milvus answers health checks over HTTP: set type: HTTP, port: 9091 and requestPath: /healthz."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionDrainingConfig:
    """How an endpoint drains after it is removed."""

    draining_timeout_sec: int = described(
        "Seconds that requests in flight may take to finish, 0 to 3600.", 0, between(0, 3600), origin=_ORIGIN
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionAffinityConfig:
    """Whether a client stays at one endpoint."""

    affinity_type: AffinityType = described(
        "NONE, CLIENT_IP or GENERATED_COOKIE. CLIENT_IP defeats the spreading of gRPC requests.",
        AffinityType.NONE,
        origin=_ORIGIN,
    )
    affinity_cookie_ttl_sec: int | None = described(
        "Seconds that the cookie lives, 0 to 86400; 0 is until the client closes.",
        None,
        between(0, 86400),
        absent="0",
        origin=_ORIGIN,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomHeadersConfig:
    """Headers to add."""

    headers: tuple[str, ...] = described(
        'Headers as "Name:value"; a value may use variables such as {client_region}.',
        (),
        custom_headers,
        origin=_ORIGIN,
    )

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The headers as names and values."""
        split = (header.partition(":") for header in self.headers)
        return tuple((name.strip(), value.strip()) for name, _, value in split)


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheckConfig:
    """The health check of endpoints."""

    check_interval_sec: int | None = described(
        "Seconds between two probes, 1 to 300.",
        None,
        between(1, 300),
        absent="15 (NEG), 60 (instance group)",
        origin=_ORIGIN,
    )
    timeout_sec: int | None = described(
        "Seconds to wait for an answer, 1 to 300, at most checkIntervalSec.",
        None,
        between(1, 300),
        absent="15 (NEG), 60 (instance group)",
        origin=_ORIGIN,
    )
    healthy_threshold: int | None = described(
        "Successes in a row that make an endpoint healthy, 1 to 10.", None, between(1, 10), absent="1", origin=_ORIGIN
    )
    unhealthy_threshold: int | None = described(
        "Failures in a row that make an endpoint unhealthy, 1 to 10.",
        None,
        between(1, 10),
        absent="2 (NEG), 10 (instance group)",
        origin=_ORIGIN,
    )
    type: HealthCheckType | None = described(
        "HTTP, HTTPS or HTTP2.", None, absent="the protocol of the port, from app-protocols", origin=_ORIGIN
    )
    port: int | None = described(
        "The container's port to probe.", None, port_number, absent="the serving port (NEG)", origin=_ORIGIN
    )
    request_path: str | None = described(
        "The path to request; an answer of 200 means healthy.", None, absent="/", origin=_ORIGIN
    )

    def violations(self) -> Iterator[Violation]:
        """Yield what GKE refuses in a health check."""
        interval, timeout = self.check_interval_sec, self.timeout_sec
        if interval is not None and timeout is not None and timeout > interval:
            message = f"must not exceed checkIntervalSec, but {timeout} is more than {interval}."
            fix = f"Set timeoutSec to {interval} or less, or checkIntervalSec to {timeout} or more."
            yield Violation(message, fix, reasons.HEALTH_CHECK_TIMEOUT, ("timeoutSec",))
        if self.request_path and not self.request_path.startswith("/"):
            yield Violation("must be absolute.", f"Write {quoted('/' + self.request_path)}.", path=("requestPath",))


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    """Access logs."""

    enable: bool = described("Whether requests are logged.", False, origin=_ORIGIN)
    sample_rate: float | None = described(
        "The share of requests that is logged, 0 to 1.", None, between(0, 1), absent="1", origin=_ORIGIN
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendConfigSpec:
    """The specification of a BackendConfig."""

    timeout_sec: int | None = described(
        "Seconds a whole request and response may take, streams included.",
        None,
        between(0, (1 << 31) - 1),
        absent="30",
        origin=_ORIGIN,
    )
    connection_draining: ConnectionDrainingConfig | None = described(
        "How an endpoint drains after it is removed.", None, absent="no draining", origin=_ORIGIN
    )
    session_affinity: SessionAffinityConfig | None = described(
        "Whether a client stays at one endpoint.", None, absent="NONE", origin=_ORIGIN
    )
    custom_request_headers: CustomHeadersConfig | None = described(
        "Headers added to requests.", None, absent="none", origin=_ORIGIN
    )
    custom_response_headers: CustomHeadersConfig | None = described(
        "Headers added to responses; not in v1beta1.", None, absent="none", origin=_ORIGIN
    )
    health_check: HealthCheckConfig | None = described(
        "The health check of endpoints; it has priority over the container's readinessProbe.",
        None,
        absent="the serving protocol and port, path /",
        origin=_ORIGIN,
    )
    logging: LogConfig | None = described(
        "Access logs; not in v1beta1.", None, absent="on, every request", origin=_ORIGIN
    )
    security_policy: SecurityPolicyConfig | None = described(
        "A Google Cloud Armor policy.", None, absent="left as it is", origin=_ORIGIN, support="diagnostic"
    )
    iap: IAPConfig | None = described(
        "Google's Identity-Aware Proxy; gRPC clients cannot use it.",
        None,
        absent="off",
        origin=_ORIGIN,
        support="diagnostic",
    )
    cdn: CDNConfig | None = described("Google Cloud CDN.", None, absent="off", origin=_ORIGIN, support="diagnostic")

    def violations(self) -> Iterator[Violation]:
        """Yield settings that exclude each other."""
        if self.iap and self.iap.enabled and self.cdn and self.cdn.enabled:
            yield Violation(
                "must not be enabled together with cdn.", "Disable one of the two.", path=("iap", "enabled")
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendConfig(Object):
    """A BackendConfig (cloud.google.com/v1 or v1beta1), named by a Service's annotation."""

    KIND: ClassVar[str] = "BackendConfig"
    API_VERSIONS: ClassVar[tuple[str, ...]] = (_V1, _V1BETA1)
    UNKNOWN_FIELD: ClassVar[Severity] = Severity.ERROR
    NAME_RULE: ClassVar[Rule] = staticmethod(dns_subdomain)
    SILENT: ClassVar[frozenset[str]] = frozenset({"status"})

    spec: BackendConfigSpec = described("The specification.", BackendConfigSpec(), origin=_ORIGIN)

    def violations(self) -> Iterator[Violation]:
        """Yield fields that v1beta1 does not have."""
        if self.api_version == _V1BETA1:
            later = {"customResponseHeaders": self.spec.custom_response_headers, "logging": self.spec.logging}
            for name, value in later.items():
                if value is not None:
                    message = f"is not a field of {_V1BETA1}."
                    yield Violation(message, f"Use apiVersion: {_V1}.", reasons.UNKNOWN_FIELD, ("spec", name))
