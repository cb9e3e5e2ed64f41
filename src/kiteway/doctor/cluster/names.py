"""Checks whether a name resolves to a balancer."""

from __future__ import annotations

from kiteway.certificates.names import is_address
from kiteway.probe.dns import DnsResult
from kiteway.probe.result import Reason


def leads_elsewhere(found: DnsResult | None, address: str) -> str:
    """
    Return what is wrong with a name's records, as a predicate; empty if nothing is, or it is unknown.

    Args:
        found: what the name resolves to.
        address: the balancer's, an address or a name; for a name, its own records are not checked.
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
