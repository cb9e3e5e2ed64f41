"""Listeners, hosts and routes."""

from __future__ import annotations

import msgspec

from kiteway.model import HTTPMode, ListenerProtocol, PathMatchType
from kiteway.report.policies import PolicyReport


class ListenerReport(msgspec.Struct, frozen=True):
    """
    An open port.

    Attributes:
        name: what clients speak there; also the listener's name in Envoy.
        address: the IP address it is bound to.
        port: its number.
    """

    name: ListenerProtocol
    address: str
    port: int


class RouteReport(msgspec.Struct, frozen=True):
    """
    A route of a host.

    Attributes:
        path: the path it matches.
        type: how the path is compared.
        pool: the name of the pool; empty when the Service cannot be used.
        policy: what MilvusPolicies say about its calls; null where none does.
    """

    path: str
    type: PathMatchType
    pool: str
    policy: PolicyReport | None = None


class HostReport(msgspec.Struct, frozen=True):
    """
    A host.

    Attributes:
        host: its DNS name, a wildcard such as `*.example.com`, or `*`.
        ingress: NAMESPACE/NAME of its Ingress.
        https: whether it is served over HTTPS.
        http: what the HTTP port does for it.
        routes: its routes.
    """

    host: str
    ingress: str
    https: bool
    http: HTTPMode
    routes: tuple[RouteReport, ...]
