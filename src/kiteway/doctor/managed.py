"""What the state of a name of a ManagedCertificate means, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from kiteway.report.certificates import DomainStatus
from kiteway.resources.kinds.managed_certificate import DomainStatus as Written


class _Meaning(NamedTuple):
    what: str
    fix: str


_DOMAIN: Final[dict[str, _Meaning]] = {
    DomainStatus.FAILED_NOT_VISIBLE: _Meaning(
        "does not lead to the load balancer",
        "Let each A and AAAA record of the name lead to the address of the Ingress, and open port 80 there.",
    ),
    DomainStatus.FAILED_CAA_CHECKING: _Meaning(
        "has CAA records that cannot be read",
        "Check that the name's DNS servers answer a query for CAA (`dig CAA NAME`).",
    ),
    DomainStatus.FAILED_CAA_FORBIDDEN: _Meaning(
        "has CAA records that forbid the CA",
        "Allow the CA in the CAA records: Google issues by pki.goog and letsencrypt.org.",
    ),
    DomainStatus.FAILED_RATE_LIMITED: _Meaning(
        "was ordered too often: the CA limits certificates of a domain",
        "Wait until the limit is over, which can take a week, and do not create the ManagedCertificate again meanwhile.",
    ),
}
"""The words that Google's controller writes (gke-managed-certs pkg/config), and Kiteway's."""


def refused(domains: Iterable[Written]) -> tuple[Written, ...]:
    """Return the names for which no certificate is issued."""
    return tuple(each for each in domains if each.status in _DOMAIN)


def in_words(domain: Written) -> str:
    """Return what is wrong with a refused name."""
    return f"{domain.domain} {_DOMAIN[domain.status].what} ({domain.status})"


def fixes(domains: Iterable[Written]) -> Iterator[str]:
    """Yield what to do about refused names, each once."""
    yield from dict.fromkeys(_DOMAIN[each.status].fix for each in domains)
