"""The routes of a host: in which order they are tried."""

from __future__ import annotations

from collections.abc import Iterable

from kiteway.model import PathMatch, PathMatchType, Route

EVERYTHING = PathMatch(PathMatchType.PREFIX, "/")

_EXACT_FIRST = {PathMatchType.EXACT: 0, PathMatchType.PREFIX: 1, PathMatchType.STRING_PREFIX: 1}


def in_order(routes: Iterable[Route]) -> tuple[Route, ...]:
    """Return exact paths before prefixes and longer prefixes first; of two equal ones only the first."""
    first: dict[tuple[PathMatch, str], Route] = {}
    for route in routes:
        first.setdefault((route.match, route.name), route)
    return tuple(sorted(first.values(), key=lambda r: (_EXACT_FIRST[r.match.type], -len(r.match.path), r.match)))
