"""Which certificate answers which SNI."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kiteway.certificates.names import covers, is_address
from kiteway.diagnostics import Diagnostic, Severity
from kiteway.kept import Kept
from kiteway.model import Certificate, ServerNames
from kiteway.translate.claims import Owners, parent_wildcard
from kiteway.translate.hosts import ANY_HOST
from kiteway.translate.unit import HostClaim, Unit

Certificates = tuple[Certificate, ...]


def server_names(
    units: Sequence[Unit], owners: Owners, diagnostics: list[Diagnostic], now: dt.datetime, kept: Kept
) -> tuple[ServerNames, ...]:
    """
    Return one entry a host, so that adding a host leaves the listener's other filter chains as they are.

    A host is answered with a certificate of the Ingress that holds it, never with another's, whatever names that one
    carries; one that names the host goes before a wildcard, and one that is valid at ``now`` before one that is not.
    Without a match the Ingress's first certificate answers, as on GKE.
    """
    found: dict[str, ServerNames] = {}
    anywhere = owners.get(ANY_HOST)
    holding = {id(owner.unit) for owner in owners.values()}
    holders = tuple([unit for unit in units if id(unit) in holding])
    judged = [_valid_at(unit, now) for unit in holders]
    all_valid = kept.each("server names", _Named.of, holders)
    for unit, valid, named in zip(holders, judged, all_valid, strict=True):
        here = named if len(valid) == len(unit.certificates) else _Named.of(unit, valid)
        for claim, (entry, diagnostic) in here.hosts:
            # Nobody holds a host that is refused to its Ingress for an older one's wildcard.
            owner = owners.get(claim.domain)
            if owner is not None and owner.unit is unit and owner.claim is claim:
                found[claim.domain] = entry
                if diagnostic is not None:
                    diagnostics.append(diagnostic)
        # An Ingress that serves a wildcard, or all other hosts, answers for its certificates' names that nobody holds.
        for name, parent in named.names:
            owner = owners.get(parent, anywhere)
            if owner is not None and owner.unit is unit and name not in owners:
                chosen = _by_key_type(_chosen(unit.certificates, name, valid))
                found[name] = _entry(unit, (name,), chosen, owner.claim.domain)
    default = _default(holders, owners, now)
    return (*default, *[found[domain] for domain in sorted(found)])


def _valid_at(unit: Unit, now: dt.datetime) -> Certificates:
    return tuple([c for c in unit.certificates if c.not_before <= now < c.not_after])


@dataclass(frozen=True, slots=True)
class _Named:
    """
    What can be said of an Ingress's names whoever holds them.

    Attributes:
        hosts: how each host it claims is answered, and what is wrong with that; none without HTTPS.
        names: those of its certificates, each with the wildcard that covers it.
    """

    hosts: tuple[tuple[HostClaim, tuple[ServerNames, Diagnostic | None]], ...]
    names: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, unit: Unit, valid: Certificates | None = None) -> _Named:
        """Judge by the certificates that are ``valid``: all, if none are given."""
        valid = unit.certificates if valid is None else valid
        claims = [claim for claim in unit.hosts if unit.https and claim.domain != ANY_HOST]
        names = {name for c in unit.certificates for name in c.names if not is_address(name)}
        return cls(
            tuple((claim, _of_host(unit, claim, valid)) for claim in claims),
            tuple((name, parent_wildcard(name)) for name in names),
        )


def _of_host(unit: Unit, claim: HostClaim, valid: Certificates) -> tuple[ServerNames, Diagnostic | None]:
    domain, diagnostic = claim.domain, None
    chosen = _chosen(unit.certificates, domain, valid)
    if not chosen:
        diagnostic = unit.ingress.diagnostic(
            Severity.WARNING,
            "HostNotCovered",
            f'no certificate of this Ingress is valid for the host "{domain}"; clients will refuse it.',
            "Create a certificate with this name in its subjectAltName.",
            ("spec", "rules", claim.index or 0, "host"),
        )
    return _entry(unit, (domain,), _by_key_type(chosen) or _first(unit, valid), domain), diagnostic


def _entry(unit: Unit, names: tuple[str, ...], certificates: tuple[str, ...], domain: str) -> ServerNames:
    host = domain if unit.certificate_required else ""
    return ServerNames(names, certificates, unit.profile, unit.client_auth, host)


def _chosen(certificates: Sequence[Certificate], domain: str, valid: Certificates) -> Sequence[Certificate]:
    matching = _valid([c for c in certificates if covers(c.names, domain)], valid)
    return [c for c in matching if domain in c.names] or matching


def _valid(certificates: Sequence[Certificate], valid: Certificates) -> Sequence[Certificate]:
    return [c for c in certificates if c in valid] or certificates


def _default(holders: Sequence[Unit], owners: Owners, now: dt.datetime) -> Iterable[ServerNames]:
    """
    Return what answers without SNI and for unknown names: the Ingress for all other hosts, else the oldest.

    One that holds no host answers for nothing.
    """
    anywhere = owners.get(ANY_HOST)
    candidates = ([anywhere.unit] if anywhere else []) + list(holders)
    unit = next((unit for unit in candidates if unit.https), None)
    if unit is None:
        return []
    if anywhere is not None and anywhere.unit is unit:
        return [_entry(unit, (), _first(unit, _valid_at(unit, now)), ANY_HOST)]
    # A client that names no host is asked for no certificate: it gets to the hosts only that ask for none.
    return [ServerNames((), _first(unit, _valid_at(unit, now)), unit.profile)]


def _first(unit: Unit, valid: Certificates) -> tuple[str, ...]:
    """Return the first certificate, and the first of the other key type that has all of its names."""
    first, *others = _valid(unit.certificates, valid)
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
