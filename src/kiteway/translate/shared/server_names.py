"""Which certificate is served for which SNI."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from kiteway.certificates.names import is_server_name
from kiteway.diagnostics import Diagnostic, ObjectRef, Severity
from kiteway.memo import Memo
from kiteway.model import Certificate, ServerNames
from kiteway.translate.shared.claims import Holders, parent_wildcard
from kiteway.translate.shared.limits import MOST_CERTIFICATE_NAMES
from kiteway.translate.shared.unit import ANY_HOST, HostClaim, Unit

Certificates = tuple[Certificate, ...]


def server_names(
    units: Sequence[Unit], holders: Holders, diagnostics: list[Diagnostic], now: dt.datetime, memo: Memo
) -> tuple[ServerNames, ...]:
    """
    Return one entry a host, and one for all names of a certificate that no unit claims.

    A host is served with a certificate of the unit that holds it, never with one of another unit. A certificate that is valid
    at ``now`` is preferred to one that is not, and an exact name to a wildcard. Without a match the unit's first
    certificate is served, as on GKE.
    """
    found: dict[str, ServerNames] = {}
    shared: dict[_Shared, list[str]] = {}
    anywhere = holders.get(ANY_HOST)
    holding = {id(holder.unit) for holder in holders.values()}
    serving = tuple([unit for unit in units if id(unit) in holding])
    judged = [_valid_at(unit, now) for unit in serving]
    all_valid = memo.each("server names", _Named.of, serving)
    for unit, valid, named in zip(serving, judged, all_valid, strict=True):
        here = named if len(valid) == len(unit.certificates) else _Named.of(unit, valid)
        for claim, (entry, diagnostic) in here.hosts:
            # No unit holds a host that was refused because of an older unit's wildcard.
            holder = holders.get(claim.domain)
            if holder is not None and holder.unit is unit and holder.claim is claim:
                found[claim.domain] = entry
                if diagnostic is not None:
                    diagnostics.append(diagnostic)
        # The unit of a wildcard, or of all other hosts, serves those names of its certificates that no unit holds.
        for name, parent in named.names:
            holder = holders.get(parent, anywhere)
            if holder is not None and holder.unit is unit and name not in holders:
                chosen = _by_key_type(named.index.chosen(name, valid))
                entry = _entry(unit, (name,), chosen, holder.claim.domain)
                shared.setdefault(_Shared(unit.ref, entry.certificates, entry.host or ANY_HOST), []).append(name)
                found[name] = entry
    for names in shared.values():
        first, *others = sorted(names)
        found[first] = dataclasses.replace(found[first], names=(first, *others))
        for name in others:
            del found[name]
    default = _default(serving, holders, now)
    return (*default, *[found[domain] for domain in sorted(found)])


def _valid_at(unit: Unit, now: dt.datetime) -> Certificates:
    return tuple([c for c in unit.certificates if c.not_before <= now < c.not_after])


class _Shared(NamedTuple):
    """
    What the names of one entry have in common; the owner determines profile and client authentication too.

    Attributes:
        owner: the owner of the unit that serves them.
        certificates: the certificates that are served.
        of: the claimed host that covers them.
    """

    owner: ObjectRef
    certificates: tuple[str, ...]
    of: str


@dataclass(frozen=True, slots=True)
class _Named:
    """
    A unit's names and certificates, computed without regard to which unit holds which name.

    Attributes:
        hosts: for each claim its entry, and a diagnostic if no certificate covers the host; empty without HTTPS.
        names: the names of its certificates that can be an SNI, each with the wildcard that covers it.
        index: its certificates by name.
    """

    hosts: tuple[tuple[HostClaim, tuple[ServerNames, Diagnostic | None]], ...]
    names: tuple[tuple[str, str], ...]
    index: _ByName

    @classmethod
    def of(cls, unit: Unit, valid: Certificates | None = None) -> _Named:
        """Compute it for the certificates that are ``valid``; all of them if None."""
        valid = unit.certificates if valid is None else valid
        claims = [claim for claim in unit.hosts if unit.https and claim.domain != ANY_HOST]
        names = dict.fromkeys(name for c in unit.certificates for name in c.names if is_server_name(name))
        index = _ByName.of(unit.certificates)
        return cls(
            tuple((claim, _of_host(unit, claim, valid, index)) for claim in claims),
            tuple((name, parent_wildcard(name)) for name in itertools.islice(names, MOST_CERTIFICATE_NAMES)),
            index,
        )


@dataclass(frozen=True, slots=True)
class _ByName:
    """Certificates by name; a unit may have thousands."""

    certificates: Mapping[str, Sequence[Certificate]]

    @classmethod
    def of(cls, certificates: Certificates) -> _ByName:
        """Index them."""
        found: dict[str, list[Certificate]] = {}
        for certificate in certificates:
            for name in certificate.names:
                found.setdefault(name, []).append(certificate)
        return cls(found)

    def chosen(self, domain: str, valid: Certificates) -> Sequence[Certificate]:
        """
        Return the certificates for ``domain``: the ``valid`` ones before the others, then those that name it.

        A wildcard covers one label, as `kiteway.certificates.names.covers` says.
        """
        exact = self.certificates.get(domain, ())
        wildcard = self.certificates.get(parent_wildcard(domain), ())
        return _valid_of(exact, valid) or _valid_of(wildcard, valid) or exact or wildcard


def _of_host(
    unit: Unit, claim: HostClaim, valid: Certificates, index: _ByName
) -> tuple[ServerNames, Diagnostic | None]:
    domain, diagnostic = claim.domain, None
    chosen = index.chosen(domain, valid)
    if not chosen:
        diagnostic = unit.owner.diagnostic(
            Severity.WARNING,
            "HostNotCovered",
            f'no certificate of this {unit.owner.KIND} is valid for the host "{domain}"; clients will refuse the connection.',
            "Create a certificate with this name in its subjectAltName.",
            claim.claimant.field,
        )
    return _entry(unit, (domain,), _by_key_type(chosen) or _first(unit, valid), domain), diagnostic


def _entry(unit: Unit, names: tuple[str, ...], certificates: tuple[str, ...], domain: str) -> ServerNames:
    host = domain if unit.certificate_required else ""
    return ServerNames(names, certificates, unit.profile, unit.client_auth, host)


def _valid_of(certificates: Sequence[Certificate], valid: Certificates) -> Sequence[Certificate]:
    return [c for c in certificates if c in valid]


def _default(serving: Sequence[Unit], holders: Holders, now: dt.datetime) -> Iterable[ServerNames]:
    """
    Return the entry for clients without SNI and for unknown names: that of the unit for all other hosts, else of the oldest.

    A unit that holds no host is not served here.
    """
    anywhere = holders.get(ANY_HOST)
    candidates = ([anywhere.unit] if anywhere else []) + list(serving)
    unit = next((unit for unit in candidates if unit.https), None)
    if unit is None:
        return []
    if anywhere is not None and anywhere.unit is unit:
        return [_entry(unit, (), _first(unit, _valid_at(unit, now)), ANY_HOST)]
    # A client without SNI is asked for no certificate, and reaches only hosts that require none.
    return [ServerNames((), _first(unit, _valid_at(unit, now)), unit.profile)]


def _first(unit: Unit, valid: Certificates) -> tuple[str, ...]:
    """Return the first certificate, and the first of the other key type that has all of its names."""
    first, *others = valid or unit.certificates
    return _by_key_type([first, *(c for c in others if set(first.names) <= set(c.names))])


def _by_key_type(certificates: Sequence[Certificate]) -> tuple[str, ...]:
    """
    Return the first of each key type: a TLS context holds at most one RSA and one ECDSA certificate.

    A temporary certificate is never served together with a real one.
    """
    first: dict[str, str] = {}
    for certificate in [c for c in certificates if not c.temporary] or certificates:
        first.setdefault(certificate.key_type, certificate.name)
    return tuple(first.values())
