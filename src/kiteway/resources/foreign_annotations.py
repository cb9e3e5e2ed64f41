"""
Annotations of other Ingress controllers, and what is lost because Kiteway does not read them.

The keys are those of the controllers' own documentation: ingress-nginx (and F5's NGINX Ingress Controller), HAProxy's
two controllers, Traefik and the AWS Load Balancer Controller.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from kiteway.resources import annotations as keys

CONTROLLERS: Final = {
    "alb.ingress.kubernetes.io": "the AWS Load Balancer Controller",
    "appgw.ingress.kubernetes.io": "Azure's Application Gateway",
    "haproxy-ingress.github.io": "HAProxy Ingress",
    "haproxy.org": "HAProxy's Ingress controller",
    "ingress.kubernetes.io": "older Ingress controllers",
    "konghq.com": "Kong",
    "nginx.com": "NGINX Ingress Controller",
    "nginx.ingress.kubernetes.io": "ingress-nginx",
    "nginx.org": "NGINX Ingress Controller",
    "projectcontour.io": "Contour",
    "traefik.ingress.kubernetes.io": "Traefik",
}
"""The controllers, by the prefix of their annotations."""

STATUS_NAMES: Final = frozenset(
    {
        "backends",
        "forwarding-rule",
        "https-forwarding-rule",
        "https-target-proxy",
        "redirect-url-map",
        "ssl-cert",
        "static-ip",
        "target-proxy",
        "url-map",
    }
)
"""What GKE itself writes below ``ingress.kubernetes.io/``."""


class Loss(enum.Enum):
    """The effect that an annotation would have had."""

    RESTRICTION = enum.auto()
    """It restricts which clients may call, or how much."""
    BACKEND_TLS = enum.auto()
    """It makes the connection to the endpoints use TLS."""
    REDIRECT = enum.auto()
    """It redirects HTTP to HTTPS."""
    MEANING = enum.auto()
    """It changes which calls go where, or how."""
    TUNING = enum.auto()
    """It sets limits, times or details that Kiteway has its own defaults for."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """
    An annotation of another controller.

    Attributes:
        loss: see `Loss`.
        controller: the controller that reads it.
        effect: what does not happen without it, as a sentence about Kiteway.
        fix: what to do instead.
    """

    loss: Loss
    controller: str
    effect: str
    fix: str


_NO_SOURCES = (
    "source addresses are not restricted: every client that reaches the listener may call",
    (
        "Restrict the addresses with a firewall or a NetworkPolicy in front of Kiteway, or ask for client certificates "
        f"({keys.CLIENT_CA}); then remove it."
    ),
)
_NO_LOGIN = (
    "Kiteway has no login of its own: every client that reaches the listener may call",
    (
        "Turn on Milvus's own authentication (common.security.authorizationEnabled), or ask for client certificates "
        f"({keys.CLIENT_CA}); then remove it."
    ),
)
_NO_CLIENT_CERTIFICATE = (
    "clients are not asked for a certificate",
    f"Put the CA into a Secret as ca.crt and name it in the annotation {keys.CLIENT_CA}; then remove it.",
)
_NO_RATE = (
    "the rate of calls is not limited",
    "Set spec.limits in a MilvusPolicy for the Ingress; then remove it.",
)
_NO_FIREWALL = (
    "no web application firewall looks at the calls",
    "Put such a firewall in front of Kiteway, or remove it.",
)
_NO_MIDDLEWARE = (
    "what it names (logins, address lists, rate limits, headers) is applied to no call",
    (
        f"Look what it does; client certificates ({keys.CLIENT_CA}) and Milvus's own authentication restrict calls here. "
        "Then remove it."
    ),
)
_NO_SNIPPET = (
    "the configuration in it has no effect, and what it forbids is not forbidden",
    "Look what it does, and use Kiteway's own annotations for it; then remove it.",
)
_NO_VERIFICATION = (
    "the endpoints' certificates are not verified by it",
    (
        f"Annotate the Service with {keys.BACKEND_CA}, and with {keys.BACKEND_CLIENT_CERTIFICATE} for a client "
        "certificate; then remove it."
    ),
)
_NO_BACKEND_TLS = (
    "Kiteway speaks to the endpoints in plaintext",
    f"""Annotate the Service: {keys.APP_PROTOCOLS}: '{{"PORT-NAME":"HTTP2"}}', which is gRPC over TLS; then remove it.""",
)
_NO_REDIRECT = (
    "HTTP is not redirected to HTTPS",
    (
        f"Name a FrontendConfig with redirectToHttps in the annotation {keys.FRONTEND_CONFIG}, or set {keys.ALLOW_HTTP}: "
        '"false"; then remove it.'
    ),
)
_NO_PASSTHROUGH = (
    "TLS ends at Kiteway, which needs a certificate of its own",
    "Name a TLS Secret in spec.tls; then remove it.",
)
_NO_REWRITE = (
    "paths go to Milvus as the client sent them",
    "Remove it: Milvus's calls have fixed paths, and pathType Prefix with / covers all.",
)
_NO_CANARY = (
    "the Ingress is one of its own and gets no share of another one's calls",
    "Use a host of its own for the other version, and remove it.",
)
_NO_ROUTING = (
    "calls are routed by the Ingress's rules alone",
    "Write what it says as rules of the Ingress; then remove it.",
)
_OWN_DEFAULTS = ("", "")

_BY_NAME: Final[dict[str, tuple[Loss, tuple[str, str]]]] = {
    **dict.fromkeys(
        (
            "allow-list",
            "allowlist-source-range",
            "blacklist",
            "deny-list",
            "denylist-source-range",
            "inbound-cidrs",
            "ip-allow-list",
            "security-groups",
            "whitelist",
            "whitelist-source-range",
        ),
        (Loss.RESTRICTION, _NO_SOURCES),
    ),
    **dict.fromkeys(
        (
            "auth-idp-cognito",
            "auth-idp-oidc",
            "auth-secret",
            "auth-signin",
            "auth-type",
            "auth-url",
            "basic-auth-secret",
            "jwt-key",
            "oauth",
        ),
        (Loss.RESTRICTION, _NO_LOGIN),
    ),
    **dict.fromkeys(("plugins", "policies", "router.middlewares"), (Loss.RESTRICTION, _NO_MIDDLEWARE)),
    **dict.fromkeys(
        (
            "auth-tls-secret",
            "auth-tls-verify-client",
            "client-ca",
            "client-crt-optional",
            "mutual-authentication",
            "router.tls.options",
        ),
        (Loss.RESTRICTION, _NO_CLIENT_CERTIFICATE),
    ),
    **dict.fromkeys(
        (
            "limit-connections",
            "limit-req-rate",
            "limit-rpm",
            "limit-rps",
            "rate-limit-requests",
        ),
        (Loss.RESTRICTION, _NO_RATE),
    ),
    **dict.fromkeys(
        (
            "app-protect-enable",
            "enable-modsecurity",
            "enable-owasp-core-rules",
            "modsecurity-snippet",
            "shield-advanced-protection",
            "waf",
            "waf-acl-id",
            "wafv2-acl-arn",
            "web-acl-id",
        ),
        (Loss.RESTRICTION, _NO_FIREWALL),
    ),
    **dict.fromkeys(
        (
            "backend-config-snippet",
            "config-backend",
            "config-frontend",
            "configuration-snippet",
            "frontend-config-snippet",
            "location-snippets",
            "server-snippet",
            "server-snippets",
        ),
        (Loss.RESTRICTION, _NO_SNIPPET),
    ),
    **dict.fromkeys(
        (
            "proxy-ssl-secret",
            "proxy-ssl-verify",
            "secure-verify-ca-secret",
            "server-ca",
            "server-crt",
            "service.serverstransport",
        ),
        (Loss.RESTRICTION, _NO_VERIFICATION),
    ),
    **dict.fromkeys(
        (
            "backend-protocol",
            "grpc-services",
            "secure-backends",
            "server-ssl",
            "service.serversscheme",
            "ssl-services",
        ),
        (Loss.BACKEND_TLS, _NO_BACKEND_TLS),
    ),
    **dict.fromkeys(
        (
            "force-ssl-redirect",
            "redirect-to-https",
            "ssl-redirect",
        ),
        (Loss.REDIRECT, _NO_REDIRECT),
    ),
    "ssl-passthrough": (Loss.MEANING, _NO_PASSTHROUGH),
    **dict.fromkeys(
        (
            "app-root",
            "path-rewrite",
            "permanent-redirect",
            "request-set-uri",
            "rewrite-target",
            "rewrites",
            "temporal-redirect",
            "use-regex",
        ),
        (Loss.MEANING, _NO_REWRITE),
    ),
    **dict.fromkeys(
        (
            "canary",
            "canary-by-header",
            "canary-weight",
            "blue-green-deploy",
            "route-acl",
        ),
        (Loss.MEANING, _NO_CANARY),
    ),
    **dict.fromkeys(
        (
            "default-backend",
            "router.pathmatcher",
            "router.priority",
            "rule-type",
            "server-alias",
            "upstream-vhost",
        ),
        (Loss.MEANING, _NO_ROUTING),
    ),
}
_BY_NAME_PREFIX: Final[dict[str, tuple[Loss, tuple[str, str]]]] = {
    "actions.": (Loss.MEANING, _NO_ROUTING),
    "conditions.": (Loss.MEANING, _NO_ROUTING),
}

_NOTHING_ASKED = frozenset({"", "0", "false", "no", "none", "off"})
"""Values with which an annotation asks for nothing."""
_PLAINTEXT = frozenset({"AUTO_HTTP", "FCGI", "GRPC", "H2C", "HTTP", "HTTP1"})
"""Values with which a protocol is none over TLS."""


def foreign(key: str, value: str) -> Foreign | None:
    """Return what is lost because Kiteway does not read an annotation; None for nothing, or if no other controller reads it."""
    prefix, _, name = key.partition("/")
    controller = CONTROLLERS.get(prefix)
    if controller is None or (prefix == "ingress.kubernetes.io" and name in STATUS_NAMES):
        return None
    if value.strip().lower() in _NOTHING_ASKED:
        return None
    loss, (effect, fix) = _BY_NAME.get(name) or next(
        (found for start, found in _BY_NAME_PREFIX.items() if name.startswith(start)), (Loss.TUNING, _OWN_DEFAULTS)
    )
    if loss is Loss.BACKEND_TLS and (name == "grpc-services" or value.strip().upper() in _PLAINTEXT):
        # Plaintext is what an endpoint gets without it, too.
        return Foreign(Loss.TUNING, controller, "", "")
    return Foreign(loss, controller, effect, fix)
