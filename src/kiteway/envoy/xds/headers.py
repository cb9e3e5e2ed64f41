"""Custom headers: set at the routes, or once at the virtual host if all its routes have the same."""

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
    The headers that are set at the virtual host instead of at its routes.

    Envoy parses and stores the headers of each route separately, and each path has a route for every rpc class.

    Attributes:
        request: those towards the endpoints; None if the routes differ.
        response: those towards the client; None if the routes differ, or if Kiteway itself may answer.
    """

    request: Headers | None = None
    response: Headers | None = None

    @classmethod
    def of(cls, host: ModelHost, pools: Iterable[Pool | None]) -> SharedHeaders:
        """
        Return the headers that all routes of ``host`` share.

        A wildcard host shares none, because Kiteway itself answers for names with more labels.
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
    """Return headers in which `ENCRYPTED` is replaced by ``true`` on an encrypted listener, else by ``false``."""
    return [_option(header, "true" if encrypted else "false") for header in headers]


def _option(header: HeaderValue, encrypted: str) -> HeaderValueOption:
    return HeaderValueOption(
        header=EnvoyHeaderValue(key=header.name, value=header.value.replace(ENCRYPTED, encrypted)),
        append_action=HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
        # As on GKE: a variable that is not known is sent empty.
        keep_empty_value=True,
    )
