"""
Checks names in DNS before an order, because the CA counts a failed validation against its limits.

Only a certain failure stops an attempt. Where the resolver does not answer, or an address may be translated (NAT) on its
way to this machine, the CA decides.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from kiteway.acme.problems import AcmeError, DomainProblem, Kind
from kiteway.certificates.names import is_address


@dataclass(frozen=True, slots=True)
class Lookup:
    """
    The result of one DNS query.

    Attributes:
        values: the records' texts; empty when there are none.
        known: whether the resolver answered.
    """

    values: tuple[str, ...] = ()
    known: bool = True


class Resolver(Protocol):
    """Looks names up in DNS."""

    def lookup(self, name: str, kind: str) -> Lookup:
        """Return the records of ``kind`` (A, AAAA or CAA) of a name. Never raises."""


def split_address(text: str) -> tuple[str, int]:
    """Read ``ADDRESS``, ``ADDRESS:PORT`` or ``[ADDRESS]:PORT``. Raises ``ValueError`` for any other text."""
    host, port = text, "53"
    if text.startswith("["):
        host, _, port = text[1:].partition("]:")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise ValueError(f'"{text}" is not the address of a DNS server, e.g. 8.8.8.8 or 127.0.0.1:5353') from None
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f'"{text}" has no port from 1 to 65535')
    return str(address), int(port)


def check(
    resolver: Resolver,
    domains: Sequence[str],
    bind: str,
    caa_identities: Sequence[str],
    addresses: Sequence[str] = (),
) -> None:
    """
    Check that the names lead here, and that their CAA records permit the CA.

    Args:
        resolver: asked for A, AAAA and CAA.
        domains: the names.
        bind: the address the listeners are bound to.
        caa_identities: the CA's names in CAA records.
        addresses: where clients reach the listeners, as far as known.

    Raises:
        AcmeError: a name certainly does not lead here, or its CAA records forbid the CA.
    """
    problems: dict[str, DomainProblem] = {}
    for domain in domains:
        a, aaaa = resolver.lookup(domain, "A"), resolver.lookup(domain, "AAAA")
        message = visibility(domain, a, aaaa, bind, addresses)
        if message:
            problems[domain] = DomainProblem(Kind.NOT_VISIBLE, message)
            continue
        message = forbidden(domain, _caa(resolver, domain), caa_identities)
        if message:
            problems[domain] = DomainProblem(Kind.CAA_FORBIDDEN, message)
    raise_first(problems)


def check_held(domains: Sequence[str], namespace: str, holders: Mapping[str, str]) -> None:
    """
    Check that no name is a host of another namespace.

    Args:
        domains: the names.
        namespace: the ManagedCertificate's.
        holders: the hosts that are served, and the namespace of the Ingress that holds each.

    Raises:
        AcmeError: a name is another namespace's host. All share one address, so the CA would issue the certificate.
    """
    found = {domain: holders.get(domain) or holders.get(f"*.{domain.partition('.')[2]}") for domain in domains}
    foreign = {domain: holder for domain, holder in found.items() if holder not in {None, namespace}}
    problems = {
        domain: DomainProblem(Kind.NOT_VISIBLE, f"the host {domain} is held by an Ingress of the namespace {holder}.")
        for domain, holder in foreign.items()
    }
    for domain, problem in problems.items():
        raise AcmeError(
            problem.kind, problem.message, f"Put the ManagedCertificate into the namespace {foreign[domain]}.", problems
        )


def raise_first(problems: Mapping[str, DomainProblem]) -> None:
    """Raise the problems of the names, if there are any."""
    for domain, problem in problems.items():
        raise AcmeError(problem.kind, problem.message, _FIXES[problem.kind].format(domain=domain), dict(problems))


_FIXES = {
    Kind.NOT_VISIBLE: "Correct the A and AAAA records of {domain}; it goes on by itself.",
    Kind.CAA_FORBIDDEN: "Allow the CA in the CAA records of {domain}, or use another CA: --acme-directory URL.",
}


def visibility(domain: str, a: Lookup, aaaa: Lookup, bind: str, addresses: Sequence[str] = ()) -> str:
    """Return why the name certainly does not lead to ``bind``; empty when it does or might."""
    if a.known and aaaa.known and not a.values and not aaaa.values:
        return f"{domain} has neither an A nor an AAAA record; it should resolve to {' or '.join(addresses) or _where(bind)}."
    ours = ipaddress.ip_address(bind) if is_address(bind) else None
    if ours is None or ours.is_unspecified:
        return ""
    wrong = [
        f"{kind} {value}"
        for kind, found in (("A", a), ("AAAA", aaaa))
        for value in found.values
        if _certainly_other(ipaddress.ip_address(value), ours)
    ]
    if not wrong:
        return ""
    right = f"its {'A' if ours.version == 4 else 'AAAA'} record should be {ours}"
    others = [entry for entry in wrong if entry.startswith("AAAA")] if ours.version == 4 else []
    also = "; remove the AAAA record, which CAs try first" if others else ""
    return f"{domain} resolves to {', '.join(wrong)}, where Kiteway does not listen; {right}{also}."


def _certainly_other(
    found: ipaddress.IPv4Address | ipaddress.IPv6Address, ours: ipaddress.IPv4Address | ipaddress.IPv6Address
) -> bool:
    """Return whether the address is certainly another machine's: a public address may be translated to a private one."""
    return found != ours and found.is_global == ours.is_global


def _where(bind: str) -> str:
    if is_address(bind) and not ipaddress.ip_address(bind).is_unspecified:
        return bind
    return "the public address of this machine"


def _caa(resolver: Resolver, domain: str) -> Lookup:
    """Return the CAA records that apply: the name's, or those of its nearest parent that has any (RFC 8659)."""
    labels = domain.split(".")
    for index in range(len(labels)):
        found = resolver.lookup(".".join(labels[index:]), "CAA")
        if found.values or not found.known:
            return found
    return Lookup()


def forbidden(domain: str, caa: Lookup, identities: Iterable[str]) -> str:
    """Return why the CAA records certainly forbid the CA; empty if they permit it, or the CA does not publish its CAA names."""
    # `0 issue "letsencrypt.org; validationmethods=http-01"`
    issue = [value.split(maxsplit=2)[2].strip('"') for value in caa.values if value.split()[1].lower() == "issue"]
    allowed = {entry.partition(";")[0].strip().lower() for entry in issue} - {""}
    own = {identity.lower() for identity in identities}
    if not issue or (allowed and not own) or allowed & own:
        return ""
    only = f"only {', '.join(sorted(allowed))}" if allowed else "no CA"
    return f"the CAA records of {domain} allow {only}{', not ' + ' or '.join(sorted(own)) if own else ''}."
