"""Whether the server speaks TLS."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.doctor.address import AddressFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed, skipped


def _check(facts: AddressFacts) -> Iterator[Finding]:
    tls = facts.tls
    if facts.speaks_tls:
        fix = "Leave out --plaintext (PyMilvus: an https:// URI)."
        yield failed(facts.ref, "the server speaks TLS on this port, and the address is checked in plaintext.", fix)
    elif not facts.target.secure:
        yield skipped(facts.ref, "the address is checked in plaintext.")
    elif tls is None:
        yield skipped(facts.ref, "no connection.")
    elif tls.version is None:
        why = tls.failure.detail if tls.failure else "no handshake"
        fix = "Check the port; give --plaintext if the address has no TLS."
        yield failed(facts.ref, f"{why}.", fix)
    else:
        yield passed(facts.ref, f"it speaks {tls.version}.")


RULE = Rule(
    "TLS_HANDSHAKE",
    "The TLS handshake",
    "gRPC on GCP works over TLS only; a port without a TLS handshake is another service, or Milvus in plaintext.",
    Scope.ADDRESS,
    _check,
)
