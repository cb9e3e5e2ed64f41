"""Whether the server speaks TLS."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.doctor.address import AddressFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed, skipped
from kiteway.resources import annotations as keys


def _check(facts: AddressFacts) -> Iterator[Finding]:
    tls, service = facts.tls, facts.target.service
    if service is not None and facts.speaks_tls:
        yield failed(
            facts.ref,
            f"it speaks TLS, and the {service} says plaintext: every call to it fails.",
            f"""Annotate the Service with {keys.APP_PROTOCOLS}: '{{"PORT-NAME":"HTTP2"}}'.""",
        )
    elif service is not None and tls is not None and tls.plaintext:
        yield failed(
            facts.ref,
            f"it speaks {tls.plaintext} in plaintext, and the {service} says TLS: every call to it fails.",
            f"Turn on TLS in Milvus (common.security.tlsMode: 1). Where no balancer of Google's is in front of it, you can "
            f"remove {keys.APP_PROTOCOLS} from the Service instead and set appProtocol: kubernetes.io/h2c.",
        )
    elif facts.speaks_tls:
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
