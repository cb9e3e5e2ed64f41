"""Whether the handshake negotiates h2."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.doctor.address import AddressFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed, skipped


def _check(facts: AddressFacts) -> Iterator[Finding]:
    tls = facts.tls
    if tls is None or tls.version is None:
        yield skipped(facts.ref, "no TLS.")
    elif tls.alpn == "h2":
        yield passed(facts.ref, "ALPN chooses h2.")
    else:
        yield failed(
            facts.ref,
            f"ALPN chooses {tls.alpn or 'nothing'} though h2 is offered: gRPC clients close the connection.",
            "Turn on HTTP/2 with ALPN in the server that terminates TLS there.",
        )


RULE = Rule(
    "ALPN_H2",
    "HTTP/2 by ALPN",
    'gRPC clients require it: grpc-go since 1.67 fails with "missing selected ALPN property" (failure F19), and as a '
    "backend of GKE a server without it gives 502 (failure F6).",
    Scope.ADDRESS,
    _check,
)
