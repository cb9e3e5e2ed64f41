"""Custom headers: they belong to what a route leads to, and stand once where all routes of a host share them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kiteway._proto.envoy.config.core.v3.base_pb2 import HeaderValue as EnvoyHeaderValue
from kiteway._proto.envoy.config.core.v3.base_pb2 import HeaderValueOption
from kiteway.model import ENCRYPTED, HeaderValue, PathMatchType, Pool
from kiteway.model import VirtualHost as ModelHost

Headers = tuple[HeaderValue, ...]


@dataclass(frozen=True, slots=True)
class SharedHeaders:
    """
    The headers that stand at the virtual host instead of at its routes.

    Envoy keeps, and parses, the headers of each route on its own, and a path is as many routes as there are kinds of
    calls.

    Attributes:
        request: those towards the endpoints; None where the routes differ.
        response: those towards the client; None where they differ, or where Kiteway itself may answer.
    """

    request: Headers | None = None
    response: Headers | None = None

    @classmethod
    def of(cls, host: ModelHost, pools: Iterable[Pool | None]) -> SharedHeaders:
        """
        Find them.

        A wildcard shares nothing: Kiteway itself answers for the names below it that are deeper.
        """
        if host.domain.startswith("*."):
            return cls()
        backed = list(zip(host.routes, pools, strict=True))
        request = {route.request_headers for route, pool in backed if pool is not None}
        response = {route.response_headers for route, _ in backed}
        everything = any(r.match.path == "/" and r.match.type is not PathMatchType.EXACT for r in host.routes)
        forwards = everything and all(pool is not None and pool.rest for _, pool in backed)
        return cls(
            request.pop() if len(request) == 1 else None,
            response.pop() if len(response) == 1 and forwards else None,
        )


def header_options(headers: Headers, *, encrypted: bool) -> list[HeaderValueOption]:
    """Return headers with what they say of the connection, which each listener knows."""
    return [_option(header, "true" if encrypted else "false") for header in headers]


def _option(header: HeaderValue, encrypted: str) -> HeaderValueOption:
    return HeaderValueOption(
        header=EnvoyHeaderValue(key=header.name, value=header.value.replace(ENCRYPTED, encrypted)),
        append_action=HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
        # As on GKE: a variable that is not known is sent empty.
        keep_empty_value=True,
    )
