"""Whether a name leads to a balancer."""

from __future__ import annotations

from kiteway.certificates.names import is_address
from kiteway.probe.dns import DnsResult
from kiteway.probe.result import Reason


def leads_elsewhere(found: DnsResult | None, address: str) -> str:
    """
    Return what is wrong with the records of a name, without it as the subject; empty if nothing is, or nobody knows.

    Args:
        found: what the name resolves to.
        address: the balancer's, an address or a name; where a name leads is its owner's business.
    """
    if found is None or not is_address(address):
        return ""
    if found.failure is not None:
        return (
            f"has no DNS record; it should lead to {address}" if found.failure.reason is Reason.NAME_NOT_FOUND else ""
        )
    addresses = list(dict.fromkeys((*found.ipv4, *found.ipv6)))
    others = [each for each in addresses if each != address]
    if not others:
        return ""
    if address in addresses:
        records = "an AAAA record" if all(":" in each for each in others) else "records"
        return f"leads to {address}, but also has {records} for {', '.join(others)}"
    return f"leads to {', '.join(others)} instead of {address}"
