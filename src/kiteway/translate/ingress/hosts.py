"""The rules of an Ingress -> its claims of hosts."""

from __future__ import annotations

from collections.abc import Sequence

from kiteway.model import NO_POLICY, PathMatch, PathMatchType, Route
from kiteway.resources import Ingress
from kiteway.resources.kinds.ingress import IngressBackend, IngressRule
from kiteway.resources.places import Path, dotted, quoted
from kiteway.translate.ingress.context import IngressContext
from kiteway.translate.ingress.paths import is_for_others, leads_to_milvus, path_match
from kiteway.translate.ingress.solver import is_solver
from kiteway.translate.shared.backends import backend_of
from kiteway.translate.shared.budget import Budget
from kiteway.translate.shared.context import Backend
from kiteway.translate.shared.limits import MOST_PATHS, MOST_RULES
from kiteway.translate.shared.namespaces import Asked
from kiteway.translate.shared.routes import EVERYTHING, in_order
from kiteway.translate.shared.unit import ANY_HOST, Claimant, HostClaim

_SLASH_ALONE = PathMatch(PathMatchType.EXACT, "/")


def asked(ingress: Ingress) -> Asked:
    """Count the hosts and paths that an Ingress asks for; what is beyond its own limits is left out anyway."""
    rules = ingress.spec.rules[:MOST_RULES]
    fallback = 1 if ingress.spec.default_backend is not None else 0
    paths = sum(len(rule.http.paths) for rule in rules if rule.http is not None)
    if is_solver(ingress):
        return Asked(0, 0, paths)
    return Asked(len({rule.host for rule in rules}) + fallback, min(paths, MOST_PATHS) + fallback)


def host_claims(context: IngressContext) -> tuple[HostClaim, ...]:
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
    budget = Budget(context)
    for index, rule in enumerate(_first_rules(context)):
        domain = rule.host or ANY_HOST
        if domain in claims:
            context.warn(
                context.ingress,
                "RuleHostOverwrite",
                f'the host "{domain}" has two rules; this one takes the place of {dotted(claims[domain].claimant.field)}, as '
                "on GKE.",
                "Put all paths of a host under one rule.",
                ("spec", "rules", index, "host"),
            )
        routes = _routes(context, rule, budget, ("spec", "rules", index))
        _check_calls(context, domain, [*routes, *fallback], ("spec", "rules", index))
        claims[domain] = HostClaim(
            domain,
            in_order([*routes, *map(budget.copies, fallback)]),
            Claimant(context.ingress.ref, ("spec", "rules", index, "host")),
        )
    if fallback:
        claimant = Claimant(context.ingress.ref, ("spec", "defaultBackend"))
        claims.setdefault(ANY_HOST, HostClaim(ANY_HOST, tuple(fallback), claimant, fallback=True))
    return tuple(claims.values())


def _first_rules(context: IngressContext) -> Sequence[IngressRule]:
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


def _routes(context: IngressContext, rule: IngressRule, budget: Budget, at: Path) -> list[Route]:
    if rule.http is None:
        context.warn(
            context.ingress,
            "IngressRule",
            "the rule has no http.paths: its host goes to the default backend, if there is one.",
            "Add http.paths.",
            at,
        )
        return []
    routes: list[Route] = []
    claimed: dict[PathMatch, Path] = {}
    for number, path in enumerate(rule.http.paths):
        here: Path = (*at, "http", "paths", number)
        field: Path = (*here, "path")
        if not budget.path(field):
            break
        match = path_match(context, path, field)
        if match is None:
            continue
        earlier = claimed.setdefault(match, field)
        if earlier is not field:
            context.warn(
                context.ingress,
                "RulePathOverwrite",
                f'the path "{path.path}" is there twice; the earlier one, {dotted(earlier)}, is used.',
                "Remove one of the two.",
                field,
            )
        else:
            routes.append(budget.copies(_route(context, match, path.backend, (*here, "backend"))))
    return routes


def _check_calls(context: IngressContext, domain: str, routes: Sequence[Route], at: Path) -> None:
    """Report a host none of whose paths leads a gRPC call to Milvus; a single such path is reported where it is read."""
    matches = [route.match for route in routes]
    if not matches or any(leads_to_milvus(match) or is_for_others(match) for match in matches):
        return
    if any(match == _SLASH_ALONE for match in matches):
        return
    paths = ", ".join(quoted(match.path) for match in matches[:3])
    context.warn(
        context.ingress,
        "PathMatchesNoCall",
        f'no gRPC call of Milvus has a path that "{domain}" routes ({paths}): each is refused.',
        "Write / with pathType Prefix: Milvus's clients send fixed paths, /milvus.proto.milvus.MilvusService/NAME, and "
        "no SDK puts a prefix before them.",
        (*at, "http", "paths"),
    )


def _route(context: IngressContext, match: PathMatch, backend: IngressBackend, path: Path) -> Route:
    found = _backend(context, backend, path)
    return Route(
        match=match,
        pool=found.pool.key if found else None,
        request_headers=found.request_headers if found else (),
        response_headers=found.response_headers if found else (),
        log_sample_rate=found.log_sample_rate if found else 1.0,
        policy=found.policy if found else NO_POLICY,
        source=context.ingress.ref,
    )


def _backend(context: IngressContext, backend: IngressBackend, path: Path) -> Backend | None:
    if backend.service is None:
        context.error(
            context.ingress,
            "ResourceBackend",
            "a backend that is not a Service (a bucket, say) exists at Google only.",
            "Name a Service.",
            path,
        )
        return None
    # One of the two is there: `ServiceBackendPort.violations`.
    port = backend.service.port.name or backend.service.port.number or 0
    at = (*path, "service")
    return backend_of(context, backend.service.name, port, at_name=(*at, "name"), at_port=(*at, "port"))
