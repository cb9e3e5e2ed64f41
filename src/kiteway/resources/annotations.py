"""
The annotations that Kiteway reads, and parsers of their values.

A reader returns the value, or a `Violation` that says what is wrong with it. The keys and their meaning are those of
ingress-gce's pkg/annotations and gke-managed-certs' pkg/config.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kiteway.resources.places import quoted
from kiteway.resources.rules import dns_subdomain, fix_of, not_one_of, port_number
from kiteway.resources.schema import Violation
from kiteway.resources.web_text import LONGEST, as_typed

_service: Final[set[str]] = set()
_ingress: Final[set[str]] = set()
_naming_secrets: Final[set[str]] = set()


def _on_service(key: str, *, names_secret: bool = False) -> str:
    """Declare an annotation of a Service; with ``names_secret`` its value names a Secret of the Service's namespace."""
    return _declared(key, _service, names_secret=names_secret)


def _on_ingress(key: str, *, names_secret: bool = False) -> str:
    """Declare an annotation of an Ingress; with ``names_secret`` its value names a Secret of the Ingress's namespace."""
    return _declared(key, _ingress, names_secret=names_secret)


def _declared(key: str, keys: set[str], *, names_secret: bool) -> str:
    keys.add(key)
    if names_secret:
        _naming_secrets.add(key)
    return key


# On a Service.

APP_PROTOCOLS: Final = _on_service("cloud.google.com/app-protocols")
"""A JSON map from a port's name (never its number) to HTTP, HTTPS or HTTP2; HTTP is the default."""
APP_PROTOCOLS_ALPHA: Final = _on_service("service.alpha.kubernetes.io/app-protocols")
"""The older key of `APP_PROTOCOLS`; it wins if both are set."""
BACKEND_CONFIG: Final = _on_service("cloud.google.com/backend-config")
"""The BackendConfigs of the Service's ports: ``{"default": NAME, "ports": {PORT: NAME}}``."""
BACKEND_CONFIG_BETA: Final = _on_service("beta.cloud.google.com/backend-config")
"""The older key of `BACKEND_CONFIG`, which wins if both are set."""
NEG: Final = _on_service("cloud.google.com/neg")
"""Whether endpoints are reached directly, without NodePort: ``{"ingress": true}``."""
NEG_STATUS: Final = _on_service("cloud.google.com/neg-status")
"""Written by GKE: the network endpoint groups of the Service's ports."""
TRANSPARENT_HEALTH_CHECKER: Final = _on_service("networking.gke.io/transparent-health-checker")
"""``{"enabled": true}`` probes port 7877, path /api/podhealth; a BackendConfig's health check wins."""
MAX_RATE_PER_ENDPOINT: Final = _on_service("networking.gke.io/max-rate-per-endpoint")
"""Requests per second and endpoint that Google's balancers aim at."""
CAPACITY_SCALER: Final = _on_service("networking.gke.io/capacity-scaler")
"""The share of its capacity, 0 to 1, at which Google's balancers use the Service."""
REST_PORT: Final = _on_service("kiteway.io/rest-port")
"""The port, by name or number, where Milvus answers REST when it is not the port of gRPC."""
HEDGING_DELAY: Final = _on_service("kiteway.io/hedging-delay")
"""Without effect: `spec.hedging.delay` of a MilvusPolicy has taken its place."""
BACKEND_CA: Final = _on_service("kiteway.io/backend-ca-secret", names_secret=True)
"""The Secret in the Service's namespace whose ca.crt verifies the endpoints' certificates; unset accepts any."""
BACKEND_SERVER_NAME: Final = _on_service("kiteway.io/backend-server-name")
"""The server name (SNI) for the endpoints; with a CA their certificate must have it."""
BACKEND_CLIENT_CERTIFICATE: Final = _on_service("kiteway.io/backend-client-certificate-secret", names_secret=True)
"""The TLS Secret in the Service's namespace with the client certificate for the endpoints, for Milvus's tlsMode 2."""

# On an Ingress.

INGRESS_CLASS: Final = _on_ingress("kubernetes.io/ingress.class")
"""Which controller the Ingress is for; unset means GKE, as long as spec.ingressClassName is unset, too."""
ALLOW_HTTP: Final = _on_ingress("kubernetes.io/ingress.allow-http")
"""Whether port 80 is open; true unless it says false."""
GLOBAL_STATIC_IP_NAME: Final = _on_ingress("kubernetes.io/ingress.global-static-ip-name")
"""The name of a reserved global address at Google."""
REGIONAL_STATIC_IP_NAME: Final = _on_ingress("kubernetes.io/ingress.regional-static-ip-name")
"""The name of a reserved regional address at Google; not together with a global one."""
PRE_SHARED_CERT: Final = _on_ingress("ingress.gcp.kubernetes.io/pre-shared-cert")
"""Certificates at Google, separated by commas; the controller of managed certificates writes here, too."""
MANAGED_CERTIFICATES: Final = _on_ingress("networking.gke.io/managed-certificates")
"""ManagedCertificates in the Ingress's namespace, separated by commas."""
FRONTEND_CONFIG: Final = _on_ingress("networking.gke.io/v1beta1.FrontendConfig")
"""The FrontendConfig in the Ingress's namespace."""
SUPPRESS_FIREWALL_XPN_ERROR: Final = _on_ingress("networking.gke.io/suppress-firewall-xpn-error")
"""Whether GKE omits its Events about firewall rules in a Shared VPC."""
CLIENT_CA: Final = _on_ingress("kiteway.io/client-ca-secret", names_secret=True)
"""The Secret in the Ingress's namespace whose ca.crt the certificates of clients are verified against."""
CLIENT_CERTIFICATE: Final = _on_ingress("kiteway.io/client-certificate")
"""Whether clients must show a certificate: required (the default with a CA) or optional."""
STATUS_PREFIX: Final = "ingress.kubernetes.io/"
"""Written by GKE: backends, url-map, forwarding-rule and others that start so."""
ACCEPTED: Final = _on_ingress("kiteway.io/accepted")
"""Written by Kiteway while Envoy rejects the Ingress: a condition with status False and Envoy's sentence."""

ON_SERVICE: Final = frozenset(_service)
"""The annotations of a Service."""
ON_INGRESS: Final = frozenset(_ingress)
"""The annotations of an Ingress."""
NAMING_SECRETS: Final = frozenset(_naming_secrets)
"""The annotations whose value names a Secret; Kiteway reads no other Secret that is not of type ``kubernetes.io/tls``."""

# Reason codes, after the errors of ingress-gce and the checks of check-gke-ingress.

APP_PROTOCOL_ANNOTATION: Final = "AppProtocolAnnotation"
"""The value of `APP_PROTOCOLS` cannot be read."""
BACKEND_CONFIG_INVALID_JSON: Final = "BackendConfigInvalidJSON"
"""The value of `BACKEND_CONFIG` cannot be read."""
BACKEND_CONFIG_NONE_FOUND: Final = "BackendConfigNoneFound"
"""The value of `BACKEND_CONFIG` names no BackendConfig."""
NEG_ANNOTATION_INVALID: Final = "NEGAnnotationInvalid"
"""The value of `NEG` cannot be read."""
THC_ANNOTATION_INVALID: Final = "THCAnnotationInvalid"
"""The value of `TRANSPARENT_HEALTH_CHECKER` cannot be read."""


_APP_PROTOCOLS_EXAMPLE = '{"milvus":"HTTP2"}'
_BACKEND_CONFIG_EXAMPLE = '{"default": "my-backendconfig"}'
_NEG_EXAMPLE = '{"ingress": true}'
_THC_EXAMPLE = '{"enabled": true}'


class AppProtocol(enum.StrEnum):
    """The protocol of the load balancer for a port. HTTP2 is TLS with ALPN h2."""

    HTTP = "HTTP"
    HTTPS = "HTTPS"
    HTTP2 = "HTTP2"


@dataclass(frozen=True, slots=True)
class BackendConfigRef:
    """
    The BackendConfigs of a Service.

    Attributes:
        default: the one of every port that `ports` does not name; empty if there is none.
        ports: by name or number of the Service's port.
    """

    default: str = ""
    ports: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Neg:
    """
    How a Service's endpoints are reached.

    Attributes:
        ingress: directly, for every port an Ingress names.
        exposed_ports: the ports that have groups of their own, whatever Ingresses say.
    """

    ingress: bool = False
    exposed_ports: frozenset[int] = frozenset()


def parse_app_protocols(text: str) -> Mapping[str, AppProtocol] | Violation:
    """Read `APP_PROTOCOLS`: protocols by port name."""
    example = f"Write it as JSON: {_APP_PROTOCOLS_EXAMPLE}."
    found = _json_object(text, APP_PROTOCOL_ANNOTATION, example)
    if isinstance(found, Violation):
        return found
    for port, protocol in found.items():
        if not isinstance(protocol, str):
            message = f"must map port names to protocols, but that of {quoted(port)} is no string."
            return Violation(message, example, APP_PROTOCOL_ANNOTATION)
        if protocol not in tuple(AppProtocol):
            broken = not_one_of(protocol, tuple(AppProtocol))
            message = f"has an invalid port application protocol: that of {quoted(port)} {broken.message}"
            fix = (
                fix_of(broken) or f'Write {{{quoted(port)}:"HTTP2"}} for gRPC over TLS; for plaintext remove the entry.'
            )
            return Violation(message, fix, APP_PROTOCOL_ANNOTATION)
    return {port: AppProtocol(protocol) for port, protocol in found.items()}


def parse_backend_config_ref(text: str) -> BackendConfigRef | Violation:
    """Read `BACKEND_CONFIG`."""
    example = f"Write it as JSON: {_BACKEND_CONFIG_EXAMPLE}."
    found = _json_object(text, BACKEND_CONFIG_INVALID_JSON, example)
    if isinstance(found, Violation):
        return found
    default, ports = found.get("default") or "", found.get("ports") or {}
    if not isinstance(default, str):
        return Violation("must have a name as default.", example, BACKEND_CONFIG_INVALID_JSON)
    if not isinstance(ports, dict) or not all(isinstance(name, str) for name in ports.values()):
        return Violation("must map ports to names in ports.", example, BACKEND_CONFIG_INVALID_JSON)
    if not default and not ports:
        return Violation("names no BackendConfig.", example, BACKEND_CONFIG_NONE_FOUND)
    for name in filter(None, (default, *ports.values())):
        if broken := dns_subdomain(name):
            return Violation(f"names a BackendConfig that {broken.message}", broken.fix, BACKEND_CONFIG_INVALID_JSON)
    return BackendConfigRef(default, ports)


def parse_neg(text: str) -> Neg | Violation:
    """Read `NEG`."""
    example = f"Write it as JSON: {_NEG_EXAMPLE}."
    found = _json_object(text, NEG_ANNOTATION_INVALID, example)
    if isinstance(found, Violation):
        return found
    ingress, ports = found.get("ingress") or False, found.get("exposed_ports") or {}
    if ingress is not True and ingress is not False:
        return Violation("must have true or false as ingress, without quotes.", example, NEG_ANNOTATION_INVALID)
    if not isinstance(ports, dict) or not all(isinstance(value, dict | None) for value in ports.values()):
        fix = 'Write it as JSON: {"exposed_ports": {"19530": {}}}.'
        return Violation("must map port numbers to {} in exposed_ports.", fix, NEG_ANNOTATION_INVALID)
    numbers = [_port(port) for port in ports]
    if None in numbers:
        return Violation("must have port numbers in exposed_ports.", example, NEG_ANNOTATION_INVALID)
    return Neg(ingress, frozenset(number for number in numbers if number is not None))


def parse_transparent_health_checker(text: str) -> bool | Violation:
    """Read `TRANSPARENT_HEALTH_CHECKER`: whether it is enabled."""
    example = f"Write it as JSON: {_THC_EXAMPLE}."
    found = _json_object(text, THC_ANNOTATION_INVALID, example)
    if isinstance(found, Violation):
        return found
    enabled = found.get("enabled") or False
    if isinstance(enabled, bool):
        return enabled
    return Violation("must have true or false as enabled, without quotes.", example, THC_ANNOTATION_INVALID)


_OF_JSON: Mapping[str, tuple[Callable[[str], object], str]] = {
    APP_PROTOCOLS: (parse_app_protocols, _APP_PROTOCOLS_EXAMPLE),
    APP_PROTOCOLS_ALPHA: (parse_app_protocols, _APP_PROTOCOLS_EXAMPLE),
    BACKEND_CONFIG: (parse_backend_config_ref, _BACKEND_CONFIG_EXAMPLE),
    BACKEND_CONFIG_BETA: (parse_backend_config_ref, _BACKEND_CONFIG_EXAMPLE),
    NEG: (parse_neg, _NEG_EXAMPLE),
    TRANSPARENT_HEALTH_CHECKER: (parse_transparent_health_checker, _THC_EXAMPLE),
}
"""The annotations whose value is a JSON object: the reader and an example."""


def json_example(key: str, text: str) -> str:
    """Return an example of the value of an annotation; empty if ``text`` can be read as one, or the value is not JSON."""
    read, example = _OF_JSON.get(key, (None, ""))
    return example if read is not None and isinstance(read(text), Violation) else ""


def parse_bool(text: str) -> bool | Violation:
    """Read a boolean as Go does."""
    if text in {"1", "t", "T", "true", "TRUE", "True"}:
        return True
    if text in {"0", "f", "F", "false", "FALSE", "False"}:
        return False
    return Violation(f"must be true or false, not {quoted(text)}.", 'Write "true" or "false".')


def parse_names(text: str) -> tuple[str, ...] | Violation:
    """Read names separated by commas, such as `MANAGED_CERTIFICATES`; spaces and empty entries do not count."""
    names = tuple(name for part in text.split(",") if (name := part.strip()))
    for name in names:
        if broken := dns_subdomain(name):
            return Violation(f"names an object that {broken.message}", broken.fix)
    return names


def parse_port(text: str) -> str | int | Violation:
    """Read a port's name or number, such as `REST_PORT`."""
    number = _port(text)
    if number is not None:
        return number
    if text.strip("-0123456789"):
        return text
    return Violation(
        f"must be the name or the number of a port, not {quoted(text)}.",
        "Write the port's name, or its number from 1 to 65535.",
    )


def _port(text: str) -> int | None:
    if text.isascii() and text.isdecimal() and len(text) <= 5 and not port_number(int(text)):
        return int(text)
    return None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return len(text) <= LONGEST and text.isprintable()


def _json_object(text: str, reason: str, example: str) -> dict[str, Any] | Violation:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        typed = as_typed(text).strip("'")
        fix = f"Type its quotes and punctuation in ASCII: '{typed}'." if typed != text and _is_json(typed) else example
        return Violation(f"is not JSON: {quoted(text)}.", fix, reason)
    if isinstance(found, dict):
        return found
    return Violation(f"must be a JSON object, not {quoted(text)}.", example, reason)
