"""Which certificate answers which SNI."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kiteway.certificates.names import covers
from kiteway.diagnostics import Diagnostic, Severity
from kiteway.model import Certificate, ServerNames
from kiteway.translate.claims import Owner, Owners, parent_wildcard
from kiteway.translate.hosts import ANY_HOST
from kiteway.translate.unit import Unit


def server_names(units: Sequence[Unit], owners: Owners, diagnostics: list[Diagnostic]) -> tuple[ServerNames, ...]:
    """
    Return one entry a host, so that adding a host leaves the listener's other filter chains as they are.

    A host is answered with a certificate of the Ingress that holds it, never with another's, whatever names that one
    carries. Without a match the Ingress's first certificate answers, as on GKE.
    """
    found: dict[str, ServerNames] = {}
    for domain, owner in owners.items():
        if owner.unit.https and domain != ANY_HOST:
            found[domain] = _of_host(domain, owner, diagnostics)
    anywhere = owners.get(ANY_HOST)
    if anywhere is not None:
        found.update((names.names[0], names) for names in _unclaimed(anywhere.unit, owners))
    default = _default(units, owners)
    return (*default, *(found[domain] for domain in sorted(found)))


def _of_host(domain: str, owner: Owner, diagnostics: list[Diagnostic]) -> ServerNames:
    unit, claim = owner.unit, owner.claim
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
    return ServerNames((domain,), _by_key_type(matching or unit.certificates[:1]), unit.profile)


def _unclaimed(unit: Unit, owners: Owners) -> Iterable[ServerNames]:
    """The Ingress that serves all other hosts answers for the names of its certificates that nobody holds."""
    names = {name for c in unit.certificates for name in c.names if not _is_address(name)}
    for name in names:
        if name not in owners and parent_wildcard(name) not in owners:
            yield ServerNames((name,), _by_key_type([c for c in unit.certificates if name in c.names]), unit.profile)


def _default(units: Sequence[Unit], owners: Owners) -> Iterable[ServerNames]:
    """Return what answers without SNI and for unknown names: the Ingress for all other hosts, else the oldest."""
    anywhere = owners.get(ANY_HOST)
    candidates = ([anywhere.unit] if anywhere else []) + list(units)
    unit = next((unit for unit in candidates if unit.https), None)
    return [ServerNames((), _by_key_type(unit.certificates[:1]), unit.profile)] if unit else []


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
