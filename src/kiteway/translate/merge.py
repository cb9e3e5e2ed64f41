"""Units -> one model: who gets which host, and which certificate answers which SNI."""

from __future__ import annotations

from collections.abc import Iterable

from kiteway.certificates.x509 import covers
from kiteway.diagnostics import Diagnostic, Severity
from kiteway.model import Certificate, LoadBalancer, Pool, PoolKey, ServerNames, VirtualHost
from kiteway.translate.unit import HostClaim, Unit, age


def merge(units: Iterable[Unit]) -> tuple[LoadBalancer, tuple[Diagnostic, ...]]:
    """
    Put all units onto the shared listeners.

    On GKE every Ingress has an address of its own. Here they share one, so a host that two of them want goes to the
    oldest, and the other is told.
    """
    ordered = sorted(units, key=age)
    diagnostics: list[Diagnostic] = []
    owners = _owners(ordered, diagnostics)
    hosts = tuple(_virtual_host(unit, claim) for _, (unit, claim) in sorted(owners.items()))
    used = {route.pool for host in hosts for route in host.routes if route.pool is not None}
    server_names = _server_names(ordered, owners, diagnostics)
    served = {name for names in server_names for name in names.certificates}
    return (
        LoadBalancer(
            hosts=hosts,
            pools=_pools(ordered, used),
            certificates=_certificates(ordered, served),
            server_names=server_names,
        ),
        tuple(diagnostics),
    )


Owners = dict[str, tuple[Unit, HostClaim]]


def _owners(units: list[Unit], diagnostics: list[Diagnostic]) -> Owners:
    owners: Owners = {}
    for unit in units:
        for claim in unit.hosts:
            held = owners.setdefault(claim.domain, (unit, claim))
            if held[0] is not unit:
                path = ("spec", "defaultBackend") if claim.index is None else ("spec", "rules", claim.index, "host")
                diagnostics.append(
                    unit.ingress.diagnostic(
                        Severity.ERROR if claim.index is not None else Severity.WARNING,
                        "HostConflict",
                        f'the host "{claim.domain}" is held by {held[0].ref}, which is older; Ingresses share one '
                        "address here, unlike on GKE.",
                        "Use another host, or put all its paths into one Ingress.",
                        path,
                    )
                )
    return owners


def _virtual_host(unit: Unit, claim: HostClaim) -> VirtualHost:
    return VirtualHost(
        domain=claim.domain,
        routes=claim.routes,
        https=unit.https,
        http=unit.http,
        redirect_code=unit.redirect_code,
        source=unit.ref,
    )


def _pools(units: list[Unit], used: set[PoolKey]) -> tuple[Pool, ...]:
    found: dict[PoolKey, Pool] = {}
    for unit in units:
        for pool in unit.pools:
            if pool.key in used:
                found.setdefault(pool.key, pool)
    return tuple(found[key] for key in sorted(found))


def _certificates(units: list[Unit], served: set[str]) -> tuple[Certificate, ...]:
    found = {c.name: c for unit in reversed(units) for c in unit.certificates if c.name in served}
    return tuple(found[name] for name in sorted(found))


def _server_names(units: list[Unit], owners: Owners, diagnostics: list[Diagnostic]) -> tuple[ServerNames, ...]:
    """
    Return one entry a host, so that adding a host leaves the listener's other filter chains as they are.

    A host is answered with a certificate of the Ingress that holds it, never with another namespace's. Without a match
    the Ingress's first certificate answers, as on GKE, and so does the oldest Ingress's where there is no SNI.
    """
    result = []
    for domain, (unit, claim) in sorted(owners.items()):
        if not unit.https or not unit.certificates or domain == "*":
            continue
        matching = [c for c in unit.certificates if covers(c.names, domain)]
        if not matching:
            diagnostics.append(
                unit.ingress.diagnostic(
                    Severity.WARNING,
                    "HostNotCovered",
                    f'no certificate of this Ingress is valid for the host "{domain}"; clients will refuse it.',
                    "Create a certificate with this name in its subjectAltName.",
                    ("spec", "rules", claim.index or 0, "host"),
                )
            )
        result.append(ServerNames((domain,), _by_key_type(matching or list(unit.certificates[:1])), unit.profile))
    default = next((unit for unit in units if unit.https and unit.certificates), None)
    if default is not None:
        result.insert(0, ServerNames((), _by_key_type(list(default.certificates[:1])), default.profile))
    return tuple(result)


def _by_key_type(certificates: list[Certificate]) -> tuple[str, ...]:
    """Return the first of each key type: a TLS context holds at most one RSA and one ECDSA certificate."""
    first: dict[str, str] = {}
    for certificate in certificates:
        first.setdefault(certificate.key_type, certificate.name)
    return tuple(first.values())
