"""Limits for the cost of an object's paths."""

from __future__ import annotations

import dataclasses

from kiteway.model import NO_POLICY, Route
from kiteway.resources.places import Path
from kiteway.translate.shared.context import Context
from kiteway.translate.shared.limits import LONGEST_HEADER_COPIES, LONGEST_POLICY_COPIES, MOST_PATHS
from kiteway.translate.shared.routes import policy_bytes


class Budget:
    """What the paths of the owner may still cost; the first that is too much is reported."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._paths = MOST_PATHS
        self._header_bytes = LONGEST_HEADER_COPIES
        self._policy_bytes = LONGEST_POLICY_COPIES

    def path(self, at: Path) -> bool:
        """Return whether there may be one more path; report the first that may not."""
        self._paths -= 1
        if self._paths == -1:
            self._context.error(
                self._context.owner,
                "PathsTooMany",
                f"there are more than {MOST_PATHS} paths; this one and those after it are left out.",
                "Use prefixes, or divide the object into several.",
                at,
            )
        return self._paths >= 0

    def copies(self, route: Route) -> Route:
        """Return the route; without custom headers that are too much, and without a pool if its policy is too much."""
        return self._headers(self._policy(route))

    def _policy(self, route: Route) -> Route:
        size = policy_bytes(route)
        if size <= self._policy_bytes:
            self._policy_bytes -= size
            return route
        self._context.error(
            self._context.owner,
            "PolicyCopiesTooMany",
            f"the limits of the MilvusPolicies in all routes of Envoy have more than {LONGEST_POLICY_COPIES} bytes; paths after that "
            "are not served.",
            "Use fewer names in limits or fewer paths, or divide the object into several.",
            ("spec", "rules"),
        )
        # Without its policy the path would be served without any limit; left out, a shorter path would match its calls.
        return dataclasses.replace(route, pool=None, policy=NO_POLICY)

    def _headers(self, route: Route) -> Route:
        size = sum(len(h.name) + len(h.value) for h in (*route.request_headers, *route.response_headers))
        if size <= self._header_bytes:
            self._header_bytes -= size
            return route
        self._context.error(
            self._context.owner,
            "HeaderCopiesTooMany",
            f"the custom headers of all paths have more than {LONGEST_HEADER_COPIES} bytes; paths after that are without.",
            "Use shorter headers or fewer paths, or divide the object into several.",
            ("spec", "rules"),
        )
        return dataclasses.replace(route, request_headers=(), response_headers=())
