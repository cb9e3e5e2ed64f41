"""Hosts and routes: which call goes to which pool."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from kiteway.diagnostics import ObjectRef
from kiteway.model.policy import NO_POLICY, Policy
from kiteway.model.pools import PoolKey


class PathMatchType(enum.StrEnum):
    """The comparison of a path, as in a URL map."""

    EXACT = "Exact"
    PREFIX = "Prefix"
    """The path itself and everything below it (``/foo`` matches ``/foo`` and ``/foo/bar``, not ``/foobar``)."""
    STRING_PREFIX = "StringPrefix"
    """``/foo*`` of ImplementationSpecific: every path that begins with ``/foo``."""


@dataclass(frozen=True, slots=True, order=True)
class PathMatch:
    """A path to match; ``/`` with PREFIX matches all."""

    type: PathMatchType
    path: str


class HTTPMode(enum.StrEnum):
    """The use of port 80 for a host."""

    SERVE = "serve"
    REDIRECT = "redirect"
    OFF = "off"


class RedirectCode(enum.IntEnum):
    """FrontendConfig ``redirectToHttps.responseCodeName``."""

    MOVED_PERMANENTLY_DEFAULT = 301
    FOUND = 302
    TEMPORARY_REDIRECT = 307
    PERMANENT_REDIRECT = 308


ENCRYPTED = "{client_encrypted}"
"""In the value of a header: replaced by ``true`` or ``false``, for whether the listener has TLS."""


@dataclass(frozen=True, slots=True, order=True)
class HeaderValue:
    """A header to set; ``value`` may hold Envoy's command operators and `ENCRYPTED`."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Route:
    """
    One path of a host.

    Attributes:
        match: what it matches.
        pool: where its calls go; None if the backend does not exist, which the answer says.
        source: the Ingress.
        request_headers: headers added towards the endpoint.
        response_headers: headers added towards the client.
        log_sample_rate: the share of requests in the access log, 0 to 1.
        policy: what the MilvusPolicies of its Ingress and of its Service say.
        challenge: it answers a CA's HTTP-01 challenge, so port 80 serves it whatever ``http`` of the host says.
        name: the one name it is for, of a host that covers several (a wildcard, or ``*``); empty for all names of the host.
    """

    match: PathMatch
    pool: PoolKey | None
    source: ObjectRef
    request_headers: tuple[HeaderValue, ...] = ()
    response_headers: tuple[HeaderValue, ...] = ()
    log_sample_rate: float = 1.0
    policy: Policy = NO_POLICY
    challenge: bool = False
    name: str = ""


@dataclass(frozen=True, slots=True)
class VirtualHost:
    """
    One host name.

    Attributes:
        domain: a DNS name in lower case, ``*.example.com`` or ``*``; a port in the request is ignored.
        routes: in the order they are tried, the most specific first.
        https: whether port 443 serves the host; an Ingress without TLS is served on port 80 only.
        http: what port 80 does for it.
        source: the Ingress that holds the name.
        redirect_code: set with `HTTPMode.REDIRECT`, and only with it.
        own_connections: whether it is served only on TLS connections with its own SNI, on which the client has shown a
            certificate; on others the answer is 421 (RFC 9110, section 15.5.20).
    """

    domain: str
    routes: tuple[Route, ...]
    https: bool
    http: HTTPMode
    source: ObjectRef
    redirect_code: RedirectCode | None = None
    own_connections: bool = False

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for a redirect without a code, or a code without a redirect."""
        if (self.http is HTTPMode.REDIRECT) is (self.redirect_code is None):
            raise ValueError(f"{self.domain}: {self.http} with the redirect code {self.redirect_code}")


def differ_by_path(hosts: Iterable[VirtualHost]) -> bool:
    """Return whether a route is for a part of the paths only, so that the spelling of a path decides its route."""
    # A challenge comes and goes, and a listener must not change with it. Its path need not be protected from a bypass.
    matches = (route.match for host in hosts for route in host.routes if not route.challenge)
    return any(match.path != "/" or match.type is PathMatchType.EXACT for match in matches)
