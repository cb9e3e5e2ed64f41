"""The rules of an Ingress -> the hosts it claims."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from kiteway.model import PathMatch, Route
from kiteway.resources.kinds.ingress import IngressBackend, IngressRule
from kiteway.translate.backends import backend_of
from kiteway.translate.context import Context, Path
from kiteway.translate.limits import LONGEST_HEADER_COPIES, MOST_PATHS, MOST_RULES
from kiteway.translate.paths import EVERYTHING, in_order, path_match
from kiteway.translate.unit import HostClaim

ANY_HOST = "*"
"""The host of a rule without one, and of a default backend."""


def host_claims(context: Context) -> tuple[HostClaim, ...]:
    """
    Return the hosts an Ingress wants, each with its routes.

    Paths of its hosts that no rule matches go to its own default backend, as on GKE, where every Ingress has a URL
    map of its own.
    """
    spec = context.ingress.spec
    fallback: list[Route] = []
    if spec.default_backend is not None:
        fallback.append(_route(context, EVERYTHING, spec.default_backend, ("spec", "defaultBackend")))
    claims: dict[str, HostClaim] = {}
    budget = _Budget(context)
    for index, rule in enumerate(_first_rules(context)):
        domain = rule.host or ANY_HOST
        if domain in claims:
            context.warn(
                context.ingress,
                "RuleHostOverwrite",
                f'the host "{domain}" has two rules; the later one takes the place of the earlier, as on GKE.',
                "Put all paths of a host under one rule.",
                ("spec", "rules", index, "host"),
            )
        routes = _routes(context, rule, budget, ("spec", "rules", index))
        claims[domain] = HostClaim(domain, in_order([*routes, *map(budget.headers, fallback)]), index)
    if fallback:
        claims.setdefault(ANY_HOST, HostClaim(ANY_HOST, tuple(fallback), None))
    return tuple(claims.values())


def _first_rules(context: Context) -> Sequence[IngressRule]:
    rules = context.ingress.spec.rules
    if len(rules) > MOST_RULES:
        context.error(
            context.ingress,
            "RulesTooMany",
            f"there are {len(rules)} rules; those after the first {MOST_RULES} are left out.",
            "Use several Ingresses.",
            ("spec", "rules"),
        )
    return rules[:MOST_RULES]


class _Budget:
    """What the paths of an Ingress may still cost."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._paths = MOST_PATHS
        self._header_bytes = LONGEST_HEADER_COPIES

    def path(self, at: Path) -> bool:
        """Return whether there may be one more path; report the first that may not."""
        self._paths -= 1
        if self._paths == -1:
            self._context.error(
                self._context.ingress,
                "PathsTooMany",
                f"there are more than {MOST_PATHS} paths; this one and those after it are left out.",
                "Use prefixes, or several Ingresses.",
                at,
            )
        return self._paths >= 0

    def headers(self, route: Route) -> Route:
        """Return the route with its custom headers, or without those that are too much."""
        size = sum(len(h.name) + len(h.value) for h in (*route.request_headers, *route.response_headers))
        if size <= self._header_bytes:
            self._header_bytes -= size
            return route
        self._context.error(
            self._context.ingress,
            "HeaderCopiesTooMany",
            f"the custom headers of all paths have more than {LONGEST_HEADER_COPIES} bytes; paths after that are without.",
            "Use shorter headers, fewer paths or several Ingresses.",
            ("spec", "rules"),
        )
        return dataclasses.replace(route, request_headers=(), response_headers=())


def _routes(context: Context, rule: IngressRule, budget: _Budget, at: Path) -> list[Route]:
    if rule.http is None:
        context.warn(
            context.ingress,
            "IngressRule",
            "the rule has no http.paths: its host goes to the default backend, if there is one.",
            "Add http.paths.",
            at,
        )
        return []
    routes: dict[PathMatch, Route] = {}
    for number, path in enumerate(rule.http.paths):
        here: Path = (*at, "http", "paths", number)
        if not budget.path((*here, "path")):
            break
        match = path_match(context, path, (*here, "path"))
        if match is None:
            continue
        if match in routes:
            context.warn(
                context.ingress,
                "RulePathOverwrite",
                f'the path "{path.path}" is there twice; the earlier one is used.',
                "Remove one of the two.",
                (*here, "path"),
            )
        else:
            routes[match] = budget.headers(_route(context, match, path.backend, (*here, "backend")))
    return list(routes.values())


def _route(context: Context, match: PathMatch, backend: IngressBackend, path: Path) -> Route:
    found = backend_of(context, backend, path)
    return Route(
        match=match,
        pool=found.pool.key if found else None,
        request_headers=found.request_headers if found else (),
        response_headers=found.response_headers if found else (),
        log_sample_rate=found.log_sample_rate if found else 1.0,
        source=context.ingress.ref,
    )
