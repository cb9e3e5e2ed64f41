"""One Ingress -> one unit."""

from __future__ import annotations

from kiteway.diagnostics import Severity
from kiteway.model import (
    Certificate,
    HTTPMode,
    PathMatch,
    PathMatchType,
    RedirectCode,
    Route,
    TLSProfile,
)
from kiteway.resources import FrontendConfig, Ingress, ManagedCertificate
from kiteway.resources import annotations as keys
from kiteway.resources.kinds.ingress import HTTPIngressPath, IngressBackend, PathType
from kiteway.translate.context import Context, Index, Options
from kiteway.translate.pools import backend_of
from kiteway.translate.secrets import certificate_of
from kiteway.translate.unit import HostClaim, Unit

ANY_HOST = "*"
_CATCH_ALL = PathMatch(PathMatchType.PREFIX, "/")


def translate_ingress(ingress: Ingress, index: Index, options: Options) -> Unit:
    """Return what an Ingress means on its own; other Ingresses' claims are not looked at."""
    context = Context(index, options)
    certificates, wants_tls = _certificates(context, ingress)
    frontend = _frontend(context, ingress)
    http, code = _http(context, ingress, frontend, wants_tls=wants_tls)
    return Unit(
        ingress=ingress,
        hosts=_hosts(context, ingress),
        pools=tuple(context.pools[key] for key in sorted(context.pools)),
        certificates=certificates,
        https=wants_tls,
        http=http,
        redirect_code=code,
        profile=_profile(context, frontend),
        diagnostics=tuple(context.diagnostics),
        dependencies=tuple(context.dependencies.items()),
    )


def _certificates(context: Context, ingress: Ingress) -> tuple[tuple[Certificate, ...], bool]:
    """Return the usable certificates in their order, and whether the Ingress asks for TLS at all."""
    found: dict[str, Certificate] = {}
    wanted = False
    for index, tls in enumerate(ingress.spec.tls):
        if not tls.secret_name:
            continue
        wanted = True
        certificate = certificate_of(context, ingress, tls.secret_name, ("spec", "tls", index, "secretName"))
        if certificate is not None:
            found.setdefault(certificate.name, certificate)
    path = ("metadata", "annotations", keys.MANAGED_CERTIFICATES)
    for name in _names(ingress.metadata.annotations.get(keys.MANAGED_CERTIFICATES, "")):
        wanted = True
        managed = context.get(ManagedCertificate, ingress.ref.namespace, name)
        if managed is None:
            context.report(
                ingress.diagnostic(
                    Severity.ERROR,
                    "ManagedCertificateNotFound",
                    f"the ManagedCertificate {ingress.ref.namespace}/{name} does not exist.",
                    "Create it in the Ingress's namespace, or correct the annotation.",
                    path,
                )
            )
            continue
        issued = context.options.issued.get(f"{ingress.ref.namespace}/{name}")
        if issued is not None:
            found.setdefault(issued.name, issued)
    return tuple(found.values()), wanted


def _names(value: str) -> list[str]:
    return [name.strip() for name in value.split(",") if name.strip()]


def _frontend(context: Context, ingress: Ingress) -> FrontendConfig | None:
    name = ingress.metadata.annotations.get(keys.FRONTEND_CONFIG)
    if not name:
        return None
    found = context.get(FrontendConfig, ingress.ref.namespace, name)
    if found is None:
        context.report(
            ingress.diagnostic(
                Severity.ERROR,
                "FrontendConfigNotFound",
                f"the FrontendConfig {ingress.ref.namespace}/{name} does not exist or has errors of its own.",
                "Create it in the Ingress's namespace, or correct the annotation.",
                ("metadata", "annotations", keys.FRONTEND_CONFIG),
            )
        )
    return found


def _profile(context: Context, frontend: FrontendConfig | None) -> TLSProfile:
    policy = frontend.spec.ssl_policy if frontend else None
    if frontend is None or not policy:
        return TLSProfile.COMPATIBLE
    profile = context.options.ssl_policies.get(policy)
    if profile is None:
        context.report(
            frontend.diagnostic(
                Severity.WARNING,
                "SslPolicyUnknown",
                f'nothing is known of the SSL policy "{policy}", which is an object of a Google Cloud project; TLS 1.2 '
                "and 1.3 are offered.",
                f"Say what it stands for: --ssl-policy {policy}=COMPATIBLE|MODERN|RESTRICTED.",
                ("spec", "sslPolicy"),
            )
        )
        return TLSProfile.COMPATIBLE
    return profile


def _http(
    context: Context, ingress: Ingress, frontend: FrontendConfig | None, *, wants_tls: bool
) -> tuple[HTTPMode, RedirectCode]:
    code = RedirectCode.MOVED_PERMANENTLY_DEFAULT
    value = ingress.metadata.annotations.get(keys.ALLOW_HTTP, "true")
    path = ("metadata", "annotations", keys.ALLOW_HTTP)
    # GKE parses it with Go's ParseBool and takes what does not parse for true.
    allowed = value not in {"false", "False", "FALSE", "f", "F", "0"}
    redirect = frontend.spec.redirect_to_https if frontend else None
    if not allowed:
        if not wants_tls:
            context.report(
                ingress.diagnostic(
                    Severity.ERROR,
                    "AllProtocolsDisabled",
                    "port 80 is turned off and there is no certificate for port 443: nothing is served.",
                    "Add spec.tls or a ManagedCertificate, or remove kubernetes.io/ingress.allow-http.",
                    path,
                )
            )
        return HTTPMode.OFF, code
    if redirect is not None and redirect.enabled and wants_tls:
        return HTTPMode.REDIRECT, RedirectCode(redirect.response_code_name.status)
    if wants_tls:
        context.report(
            ingress.diagnostic(
                Severity.WARNING,
                "AllowHttpOpen",
                "port 80 serves the same hosts in plaintext, where a Milvus token is readable by anyone on the way.",
                f'Set the annotation {keys.ALLOW_HTTP}: "false", or redirect with a FrontendConfig.',
                ("metadata", "annotations"),
            )
        )
    return HTTPMode.SERVE, code


def _hosts(context: Context, ingress: Ingress) -> tuple[HostClaim, ...]:
    spec = ingress.spec
    fallback = None
    if spec.default_backend is not None:
        fallback = _route(context, ingress, _CATCH_ALL, spec.default_backend, ("spec", "defaultBackend"))
    claims: dict[str, tuple[list[Route], int | None]] = {}
    for index, rule in enumerate(spec.rules):
        domain = rule.host or ANY_HOST
        if domain in claims:
            context.report(
                ingress.diagnostic(
                    Severity.WARNING,
                    "RuleHostOverwrite",
                    f'the host "{domain}" has two rules; the later one takes the place of the earlier, as on GKE.',
                    "Put all paths of a host under one rule.",
                    ("spec", "rules", index, "host"),
                )
            )
        routes: list[Route] = []
        for number, path in enumerate(rule.http.paths if rule.http else ()):
            at: tuple[str | int, ...] = ("spec", "rules", index, "http", "paths", number)
            routes.extend(
                _route(context, ingress, match, path.backend, (*at, "backend"))
                for match in _path_matches(context, ingress, path, (*at, "path"))
            )
        claims[domain] = (routes, index)
    if fallback is not None:
        claims.setdefault(ANY_HOST, ([], None))
    return tuple(
        HostClaim(domain, _in_order([*routes, fallback] if fallback else routes), index)
        for domain, (routes, index) in claims.items()
    )


def _route(
    context: Context, ingress: Ingress, match: PathMatch, backend: IngressBackend, path: tuple[str | int, ...]
) -> Route:
    found = backend_of(context, ingress, backend, path)
    return Route(
        match=match,
        pool=found.pool.key if found else None,
        request_headers=found.request_headers if found else (),
        response_headers=found.response_headers if found else (),
        log_sample_rate=found.log_sample_rate if found else 1.0,
        source=ingress.ref,
    )


def _path_matches(
    context: Context, ingress: Ingress, path: HTTPIngressPath, at: tuple[str | int, ...]
) -> list[PathMatch]:
    """
    Return what a path matches, as ingress-gce puts it into a URL map.

    ImplementationSpecific is passed through (``/foo`` is exact, ``/foo/*`` a prefix, empty is everything); ``*`` is
    allowed only at the end and there only.
    """
    text = path.path
    if path.path_type is PathType.PREFIX:
        if "*" in text:
            return _refuse_star(context, ingress, text, "Prefix", at)
        return [PathMatch(PathMatchType.PREFIX, text.rstrip("/") or "/")]
    if path.path_type is PathType.EXACT:
        if "*" in text:
            return _refuse_star(context, ingress, text, "Exact", at)
        return [PathMatch(PathMatchType.EXACT, text)]
    if not text:
        return [_CATCH_ALL]
    if text == "/*":
        return [_CATCH_ALL]
    if text.endswith("/*") and "*" not in text[:-1]:
        return [PathMatch(PathMatchType.STRING_PREFIX, text[:-1])]
    if "*" in text:
        return _refuse_star(context, ingress, text, "ImplementationSpecific", at)
    return [PathMatch(PathMatchType.EXACT, text)]


def _refuse_star(
    context: Context, ingress: Ingress, text: str, path_type: str, at: tuple[str | int, ...]
) -> list[PathMatch]:
    where = "only as the last character after a slash" if path_type == "ImplementationSpecific" else "not"
    context.report(
        ingress.diagnostic(
            Severity.ERROR,
            "PathInvalid",
            f'"{text}" has a * where pathType {path_type} allows it {where}.',
            "Write the path without it; pathType Prefix covers everything below a path.",
            at,
        )
    )
    return []


_SPECIFICITY = {PathMatchType.EXACT: 0, PathMatchType.PREFIX: 1, PathMatchType.STRING_PREFIX: 1}


def _in_order(routes: list[Route]) -> tuple[Route, ...]:
    """Exact paths before prefixes, longer prefixes first; of two equal ones the first in the manifest wins."""
    first: dict[PathMatch, Route] = {}
    for route in routes:
        first.setdefault(route.match, route)
    return tuple(sorted(first.values(), key=lambda r: (_SPECIFICITY[r.match.type], -len(r.match.path), r.match.path)))
