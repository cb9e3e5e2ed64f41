"""Whether the certificate leads to a trusted root."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from kiteway.doctor.address import AddressFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed, skipped
from kiteway.probe import Reason
from kiteway.probe.certificate import CertificateFacts


def _check(facts: AddressFacts) -> Iterator[Finding]:
    chain = facts.tls.chain if facts.tls else ()
    if facts.tls is None or not chain:
        yield skipped(facts.ref, "no certificate was seen.")
        return
    reason = facts.tls.failure.reason if facts.tls.failure else None
    if not _in_order(chain):
        yield failed(
            facts.ref,
            "the certificates are not sent in order: one is not followed by its issuer.",
            "Put the server's certificate first, each followed by its issuer.",
        )
    elif reason is Reason.SELF_SIGNED or (reason is Reason.UNKNOWN_CA and chain[0].self_signed):
        yield failed(
            facts.ref,
            f"the certificate is self-signed ({chain[0].subject}): a client needs it as a file.",
            "Give it with --ca FILE, as PyMilvus's server_pem_path does, or use a certificate of a public CA.",
        )
    elif reason is Reason.UNKNOWN_CA:
        missing = "alone, without the certificate of its issuer" if len(chain) == 1 else "with a chain"
        yield failed(
            facts.ref,
            f"the server's certificate is sent {missing} that leads to no trusted root; its issuer is "
            f"{chain[-1].issuer}.",
            "Append the intermediate certificates to tls.crt, or give the private CA with --ca FILE.",
        )
    else:
        yield passed(facts.ref, f"{len(chain)} certificate(s), in order, issued by {chain[-1].issuer}.")


def _in_order(chain: Sequence[CertificateFacts]) -> bool:
    return all(one.issuer == after.subject for one, after in itertools.pairwise(chain))


RULE = Rule(
    "CERT_CHAIN",
    "The certificate chain",
    "A missing intermediate goes unnoticed in browsers, which remember it, and fails in gRPC clients; the guide's "
    "self-signed certificate needs server_pem_path (failure F20).",
    Scope.ADDRESS,
    _check,
)
