"""Units -> one model."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence

from kiteway.diagnostics import Diagnostic, ObjectRef
from kiteway.memo import Memo
from kiteway.model import Certificate, LoadBalancer, Pool, PoolKey, ServerNames, TrustBundle, VirtualHost
from kiteway.translate.shared.claims import Guests, settle
from kiteway.translate.shared.limits import NamespaceLimits
from kiteway.translate.shared.namespaces import Room, within
from kiteway.translate.shared.routes import in_order
from kiteway.translate.shared.server_names import server_names
from kiteway.translate.shared.unit import HostClaim, Unit, age


def merge(
    units: Sequence[Unit],
    now: dt.datetime,
    memo: Memo,
    limits: NamespaceLimits,
    *,
    fitted: Mapping[ObjectRef, Unit],
    warming: Sequence[Pool] = (),
) -> tuple[LoadBalancer, tuple[Diagnostic, ...], Room]:
    """
    Put all units onto the shared listeners.

    On GKE every Ingress has its own address. Here all hosts share one, so a host that two units want goes to the
    oldest, and the other's owner gets a diagnostic.

    Args:
        units: in any order.
        now: the time certificates are judged by.
        memo: caches what was computed of the same units.
        limits: what the units of a namespace may claim together.
        fitted: the form of each unit that was last within the limits.
        warming: pools to build although no route leads to them yet.
    """
    ages = memo.each("age", age, units)
    diagnostics: list[Diagnostic] = []
    oldest_first = [units[number] for number in sorted(range(len(units)), key=ages.__getitem__)]
    room = within(oldest_first, limits, diagnostics, memo, fitted)
    ordered = room.units
    holders, guests = settle(ordered, diagnostics)
    wanted = {id(unit): hosts for unit, hosts in zip(ordered, memo.each("hosts", _hosts, ordered), strict=True)}
    alone = {domain: wanted[id(holders[domain].unit)][domain] for domain in sorted(holders)}
    hosts = tuple(_with_guests(alone, guests).values())
    names = server_names(ordered, holders, diagnostics, now, memo)
    # The current state of a Service or a Secret also replaces the older one in a unit that keeps its last good form.
    current_first = sorted(ordered, key=lambda unit: unit.retained)
    pools = _pools(current_first, {route.pool for host in hosts for route in host.routes}, warming)
    return (
        LoadBalancer(
            hosts=hosts,
            pools=pools,
            certificates=_certificates(current_first, {name for entry in names for name in entry.certificates}),
            server_names=names,
            bundles=_bundles(current_first, names, pools),
        ),
        tuple(diagnostics),
        room,
    )


def _with_guests(hosts: dict[str, VirtualHost], guests: Guests) -> dict[str, VirtualHost]:
    """Return the hosts with the paths of solvers beside their own; of two equal paths the host's own one is used."""
    for domain, claims in guests.items():
        routes = in_order([*hosts[domain].routes, *(route for claim in claims for route in claim.routes)])
        hosts[domain] = dataclasses.replace(hosts[domain], routes=routes)
    return hosts


def _hosts(unit: Unit) -> dict[str, VirtualHost]:
    return {claim.domain: _virtual_host(unit, claim) for claim in unit.hosts}


def _virtual_host(unit: Unit, claim: HostClaim) -> VirtualHost:
    return VirtualHost(
        domain=claim.domain,
        routes=claim.routes,
        https=unit.https,
        http=unit.http,
        redirect_code=unit.redirect_code,
        source=claim.claimant.owner,
        own_connections=unit.certificate_required,
    )


def _pools(units: Sequence[Unit], used: set[PoolKey | None], warming: Sequence[Pool]) -> tuple[Pool, ...]:
    found: dict[PoolKey, Pool] = {}
    for unit in units:
        for pool in unit.pools:
            if pool.key in used:
                found.setdefault(pool.key, pool)
    for pool in warming:
        found.setdefault(pool.key, pool)
    return tuple([found[key] for key in sorted(found)])


def _certificates(units: Sequence[Unit], served: set[str]) -> tuple[Certificate, ...]:
    found: dict[str, Certificate] = {}
    for unit in units:
        for certificate in unit.certificates:
            if certificate.name in served:
                found.setdefault(certificate.name, certificate)
    return tuple(found[name] for name in sorted(found))


def _bundles(units: Sequence[Unit], names: Sequence[ServerNames], pools: Sequence[Pool]) -> tuple[TrustBundle, ...]:
    """Return the CAs that verify clients or endpoints, each Secret once."""
    found: dict[ObjectRef, TrustBundle] = {}
    for unit in units:
        if unit.client_auth is not None:
            found.setdefault(unit.client_auth.ca.source, unit.client_auth.ca)
        for pool in unit.pools:
            if pool.tls.ca is not None:
                found.setdefault(pool.tls.ca.source, pool.tls.ca)
    for pool in pools:
        if pool.tls.ca is not None:
            found.setdefault(pool.tls.ca.source, pool.tls.ca)
    used = {entry.client_auth.ca.source for entry in names if entry.client_auth is not None}
    used |= {pool.tls.ca.source for pool in pools if pool.tls.ca is not None}
    return tuple(found[source] for source in sorted(used))
