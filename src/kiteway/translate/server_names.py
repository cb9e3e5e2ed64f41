"""Which certificate answers which SNI."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence

from kiteway.certificates.names import covers
from kiteway.diagnostics import Diagnostic, Severity
from kiteway.model import Certificate, ServerNames
from kiteway.translate.claims import Owner, Owners, parent_wildcard
from kiteway.translate.hosts import ANY_HOST
from kiteway.translate.unit import Unit


def server_names(
    units: Sequence[Unit], owners: Owners, diagnostics: list[Diagnostic], now: dt.datetime
) -> tuple[ServerNames, ...]:
    """
    Return one entry a host, so that adding a host leaves the listener's other filter chains as they are.

    A host is answered with a certificate of the Ingress that holds it, never with another's, whatever names that one
    carries; one that names the host goes before a wildcard, and one that is valid at ``now`` before one that is not.
    Without a match the Ingress's first certificate answers, as on GKE.
    """
    found: dict[str, ServerNames] = {}
    for domain, owner in owners.items():
        if owner.unit.https and domain != ANY_HOST:
            found[domain] = _of_host(domain, owner, diagnostics, now)
    for unit in {id(owner.unit): owner.unit for owner in owners.values()}.values():
        found.update((names.names[0], names) for names in _unclaimed(unit, owners, now))
    default = _default(units, owners, now)
    return (*default, *(found[domain] for domain in sorted(found)))


def _of_host(domain: str, owner: Owner, diagnostics: list[Diagnostic], now: dt.datetime) -> ServerNames:
    unit, claim = owner.unit, owner.claim
    chosen = _chosen(unit.certificates, domain, now)
    if not chosen:
        diagnostics.append(
            unit.ingress.diagnostic(
                Severity.WARNING,
                "HostNotCovered",
                f'no certificate of this Ingress is valid for the host "{domain}"; clients will refuse it.',
                "Create a certificate with this name in its subjectAltName.",
                ("spec", "rules", claim.index or 0, "host"),
            )
        )
    return _entry(unit, (domain,), _by_key_type(chosen) or _first(unit, now), domain)


def requires_certificate(unit: Unit) -> bool:
    """Return whether the clients of an Ingress must show a certificate."""
    return unit.client_auth is not None and unit.client_auth.required


def _entry(unit: Unit, names: tuple[str, ...], certificates: tuple[str, ...], domain: str) -> ServerNames:
    host = domain if requires_certificate(unit) else ""
    return ServerNames(names, certificates, unit.profile, unit.client_auth, host)


def _chosen(certificates: Sequence[Certificate], domain: str, now: dt.datetime) -> Sequence[Certificate]:
    matching = _valid([c for c in certificates if covers(c.names, domain)], now)
    return [c for c in matching if domain in c.names] or matching


def _valid(certificates: Sequence[Certificate], now: dt.datetime) -> Sequence[Certificate]:
    return [c for c in certificates if c.not_before <= now < c.not_after] or certificates


def _unclaimed(unit: Unit, owners: Owners, now: dt.datetime) -> Iterable[ServerNames]:
    """An Ingress that serves a wildcard, or all other hosts, answers for its certificates' names that nobody holds."""
    for name in {name for c in unit.certificates for name in c.names if not _is_address(name)}:
        owner = owners.get(parent_wildcard(name), owners.get(ANY_HOST))
        if name not in owners and owner is not None and owner.unit is unit:
            yield _entry(unit, (name,), _by_key_type(_chosen(unit.certificates, name, now)), owner.claim.domain)


def _default(units: Sequence[Unit], owners: Owners, now: dt.datetime) -> Iterable[ServerNames]:
    """
    Return what answers without SNI and for unknown names: the Ingress for all other hosts, else the oldest.

    One that holds no host answers for nothing.
    """
    anywhere = owners.get(ANY_HOST)
    holders = {owner.unit.ref for owner in owners.values()}
    candidates = ([anywhere.unit] if anywhere else []) + [unit for unit in units if unit.ref in holders]
    unit = next((unit for unit in candidates if unit.https), None)
    if unit is None:
        return []
    if anywhere is not None and anywhere.unit is unit:
        return [_entry(unit, (), _first(unit, now), ANY_HOST)]
    # A client that names no host is asked for no certificate: it gets to the hosts only that ask for none.
    return [ServerNames((), _first(unit, now), unit.profile)]


def _first(unit: Unit, now: dt.datetime) -> tuple[str, ...]:
    """Return the first certificate, and the first of the other key type that has all of its names."""
    first, *others = _valid(unit.certificates, now)
    return _by_key_type([first, *(c for c in others if set(first.names) <= set(c.names))])


def _by_key_type(certificates: Sequence[Certificate]) -> tuple[str, ...]:
    """
    Return the first of each key type: a TLS context holds at most one RSA and one ECDSA certificate.

    A temporary certificate never answers beside a real one.
    """
    first: dict[str, str] = {}
    for certificate in [c for c in certificates if not c.temporary] or certificates:
        first.setdefault(certificate.key_type, certificate.name)
    return tuple(first.values())


def _is_address(name: str) -> bool:
    return ":" in name or name.replace(".", "").isdecimal()
