"""Whether the certificate is for the name."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.certificates.names import covers
from kiteway.doctor.address import AddressFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed, skipped


def _check(facts: AddressFacts) -> Iterator[Finding]:
    name = facts.target.name
    names = tuple(one.lower() for one in facts.tls.server_names) if facts.tls else ()
    if facts.tls is None or not facts.tls.chain:
        yield skipped(facts.ref, "no certificate was seen.")
    elif covers(names, name):
        yield passed(facts.ref, f"the certificate is for {name}.")
    else:
        yield failed(
            facts.ref,
            f"the certificate is not for {name}; it is for {', '.join(names) or 'no name at all'}.",
            "Connect by a name in the certificate, give that with --server-name, or create a certificate for this one.",
        )


RULE = Rule(
    "CERT_HOST",
    "The certificate is for the name",
    "Clients refuse a certificate for another name; with an IP address PyMilvus needs server_name, which works in "
    "gRPC-core SDKs only (trap G13).",
    Scope.ADDRESS,
    _check,
)
