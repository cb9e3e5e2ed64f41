"""The routes of a host: in which order they are tried, and how many routes of Envoy's a path is."""

from __future__ import annotations

from collections.abc import Iterable

from kiteway.model import PathMatch, PathMatchType, Route

EVERYTHING = PathMatch(PathMatchType.PREFIX, "/")

MILVUS_SERVICE = "/milvus.proto.milvus.MilvusService"
"""What the path of each gRPC call of Milvus begins with."""

_ROUTES, _ROUTES_FOR_MILVUS = 4, 18
_LISTENERS = 3
"""A host is served by those for HTTPS, for HTTP and for gRPC in plaintext, at most."""

_EXACT_FIRST = {PathMatchType.EXACT: 0, PathMatchType.PREFIX: 1, PathMatchType.STRING_PREFIX: 1}


def in_order(routes: Iterable[Route]) -> tuple[Route, ...]:
    """Return exact paths before prefixes and longer prefixes first; of two equal ones only the first."""
    first: dict[tuple[PathMatch, str], Route] = {}
    for route in routes:
        first.setdefault((route.match, route.name), route)
    return tuple(sorted(first.values(), key=lambda r: (_EXACT_FIRST[r.match.type], -len(r.match.path), r.match)))


def envoy_routes(match: PathMatch) -> int:
    """
    Return how many routes of Envoy's a path is on each listener, at most: each has a copy of the path's policy.

    A path to all of Milvus has its own route for each call that is made often.
    """
    near = match.path.startswith(MILVUS_SERVICE) or MILVUS_SERVICE.startswith(match.path)
    return _ROUTES_FOR_MILVUS if near and match.type is not PathMatchType.EXACT else _ROUTES


def policy_bytes(route: Route) -> int:
    """Return how many bytes the policy of a path takes in Envoy's configuration, at most, about."""
    return route.policy.size * envoy_routes(route.match) * _LISTENERS
