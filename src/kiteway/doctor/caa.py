"""CAA records: which authorities may issue certificates for a name (RFC 8659)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from kiteway.certificates.names import is_address
from kiteway.extras import install_command
from kiteway.probe.threads import in_daemon_thread

_RESERVED = frozenset({"internal", "invalid", "local", "localhost", "test"})
"""Top-level names that public DNS does not have (RFC 6761, RFC 6762, and ICANN for ``internal``)."""


@dataclass(frozen=True, slots=True)
class CaaResult:
    """
    The CAA records that apply to a name.

    Attributes:
        name: the name or its nearest parent with CAA records; empty if none of them has any, so that every CA may issue.
        issuers: the values of ``issue``, each the name of a CA; an empty value permits no CA.
        problem: why the records are unknown; empty if they are known.
    """

    name: str = ""
    issuers: tuple[str, ...] = ()
    problem: str = ""


async def find_caa(host: str, *, timeout: float, nameserver: str = "") -> CaaResult:
    """
    Climb from a name to its parents until one has CAA records.

    Args:
        host: a DNS name; an IP address has no CAA records.
        timeout: seconds for all of it.
        nameserver: ``ADDRESS:PORT`` to ask; the machine's own if empty.
    """
    if is_address(host):
        return CaaResult(problem="an IP address has no CAA records.")
    if _is_local(host):
        return CaaResult(problem=f"{host} is no public name: no CA issues a certificate for it.")
    try:
        async with asyncio.timeout(timeout):
            return await in_daemon_thread(lambda: _climb(host.rstrip("."), nameserver), name="caa")
    except ImportError:
        return CaaResult(problem=f"the package dnspython is missing; install it: {install_command('acme')}.")
    except TimeoutError:
        return CaaResult(problem=f"DNS gave no answer about CAA records in {timeout:g} s.")


def _is_local(host: str) -> bool:
    """Return whether a name has no place in public DNS: one label, or one of the names reserved by RFC 6761."""
    labels = host.rstrip(".").lower().split(".")
    return len(labels) == 1 or labels[-1] in _RESERVED


def _climb(host: str, nameserver: str) -> CaaResult:
    from kiteway.acme.resolver import DNSResolver

    resolver = DNSResolver(nameserver)
    labels = host.split(".")
    for first in range(len(labels) - 1):
        name = ".".join(labels[first:])
        found = resolver.lookup(name, "CAA")
        if not found.known:
            return CaaResult(problem=f"DNS gave no answer about CAA records of {name}.")
        if found.values:
            return CaaResult(name, tuple(_authority(value) for value in found.values if value.split()[1] == "issue"))
    return CaaResult()


def _authority(value: str) -> str:
    """Return the authority of a record: ``0 issue "letsencrypt.org; validationmethods=http-01"``."""
    return value.split(maxsplit=2)[2].strip('"').partition(";")[0].strip().lower()
