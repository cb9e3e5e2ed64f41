"""CAA records: which authorities may issue certificates for a name (RFC 8659)."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CaaResult:
    """
    The CAA records that hold for a name.

    Attributes:
        name: the name or the nearest parent that has some; empty if none has: everyone may issue.
        issuers: the authorities named by ``issue``.
        problem: why it is not known; empty if it is.
    """

    name: str = ""
    issuers: tuple[str, ...] = ()
    problem: str = ""


async def find_caa(host: str, *, timeout: float, nameserver: tuple[str, int] | None = None) -> CaaResult:
    """
    Climb from a name to its parents until one has CAA records.

    Args:
        host: a DNS name; an address has none.
        timeout: seconds for all of it.
        nameserver: address and port to ask; the machine's own if None.
    """
    try:
        ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        return CaaResult(problem="an IP address has no CAA records.")
    try:
        import dns.asyncresolver
        import dns.exception
        import dns.name
        import dns.resolver
    except ImportError:
        return CaaResult(problem="the package dnspython is missing: pip install 'kiteway[acme]'.")
    try:
        resolver = dns.asyncresolver.Resolver(configure=nameserver is None)
        if nameserver is not None:
            resolver.nameservers, resolver.port = [nameserver[0]], nameserver[1]
        resolver.lifetime = timeout
        name = dns.name.from_text(host)
        while len(name.labels) > 2:
            try:
                answer = await resolver.resolve(name, "CAA", search=False)
            except (dns.resolver.NoAnswer, dns.resolver.NXDOMAIN):
                name = name.parent()
                continue
            issuers = tuple(_domain(record.value) for record in answer if record.tag == b"issue")
            return CaaResult(name.to_text(omit_final_dot=True), issuers)
    except (dns.exception.DNSException, OSError, ValueError) as error:
        return CaaResult(problem=f"DNS gave no answer: {error or type(error).__name__}")
    return CaaResult()


def _domain(value: bytes) -> str:
    """Return the authority of a value such as ``letsencrypt.org; validationmethods=http-01``."""
    return value.decode("ascii", "replace").partition(";")[0].strip().lower()
