"""Units -> one model."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence

from kiteway.diagnostics import Diagnostic
from kiteway.model import Certificate, LoadBalancer, Pool, PoolKey, VirtualHost
from kiteway.translate.claims import Owner, settle
from kiteway.translate.server_names import requires_certificate, server_names
from kiteway.translate.unit import Unit, age


def merge(units: Iterable[Unit], now: dt.datetime) -> tuple[LoadBalancer, tuple[Diagnostic, ...]]:
    """
    Put all units onto the shared listeners.

    On GKE every Ingress has an address of its own. Here they share one, so a host that two of them want goes to the
    oldest, and the other is told. ``now`` is the time certificates are judged by.
    """
    ordered = sorted(units, key=age)
    diagnostics: list[Diagnostic] = []
    owners = settle(ordered, diagnostics)
    hosts = tuple(_virtual_host(domain, owner) for domain, owner in sorted(owners.items()))
    names = server_names(ordered, owners, diagnostics, now)
    # What is said now of a Service or a Secret holds for an Ingress that keeps its last good form, too.
    current_first = sorted(ordered, key=lambda unit: unit.retained)
    return (
        LoadBalancer(
            hosts=hosts,
            pools=_pools(current_first, {route.pool for host in hosts for route in host.routes}),
            certificates=_certificates(current_first, {name for entry in names for name in entry.certificates}),
            server_names=names,
        ),
        tuple(diagnostics),
    )


def _virtual_host(domain: str, owner: Owner) -> VirtualHost:
    return VirtualHost(
        domain=domain,
        routes=owner.claim.routes,
        https=owner.unit.https,
        http=owner.unit.http,
        redirect_code=owner.unit.redirect_code,
        source=owner.unit.ref,
        own_connections=requires_certificate(owner.unit),
    )


def _pools(units: Sequence[Unit], used: set[PoolKey | None]) -> tuple[Pool, ...]:
    found: dict[PoolKey, Pool] = {}
    for unit in units:
        for pool in unit.pools:
            if pool.key in used:
                found.setdefault(pool.key, pool)
    return tuple(found[key] for key in sorted(found))


def _certificates(units: Sequence[Unit], served: set[str]) -> tuple[Certificate, ...]:
    found: dict[str, Certificate] = {}
    for unit in units:
        for certificate in unit.certificates:
            if certificate.name in served:
                found.setdefault(certificate.name, certificate)
    return tuple(found[name] for name in sorted(found))
