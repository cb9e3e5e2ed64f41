"""Whether the server accepts TLS 1.0 and 1.1."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.doctor.address import AddressFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed, skipped


def _check(facts: AddressFacts) -> Iterator[Finding]:
    if facts.old_tls is None or facts.tls is None or facts.tls.version is None:
        yield skipped(facts.ref, "no TLS.")
    elif facts.old_tls:
        yield failed(
            facts.ref,
            f"it accepts {' and '.join(facts.old_tls)}, withdrawn by RFC 8996.",
            "Offer TLS 1.2 and 1.3 only; on GKE, by an SSL policy in a FrontendConfig.",
        )
    else:
        yield passed(facts.ref, "TLS 1.0 and 1.1 are refused.")


RULE = Rule(
    "TLS_OLD_VERSIONS",
    "TLS 1.0 and 1.1 are off",
    "GKE's default SSL policy (COMPATIBLE) still accepts TLS 1.0; auditors and some clients do not. Kiteway offers 1.2 "
    "and 1.3.",
    Scope.ADDRESS,
    _check,
)
