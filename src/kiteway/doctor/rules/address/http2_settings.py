"""Whether the server speaks HTTP/2."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.doctor.address import AddressFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed, skipped

_MAX_CONCURRENT_STREAMS = 3  # RFC 9113 section 6.5.2


def _check(facts: AddressFacts) -> Iterator[Finding]:
    h2 = facts.h2
    if facts.speaks_tls:
        yield skipped(facts.ref, "the server speaks TLS: see TLS_HANDSHAKE.")
    elif h2 is None:
        yield skipped(facts.ref, "no connection for HTTP/2 was made.")
    elif h2.settings is None:
        why = h2.failure.detail if h2.failure else "no SETTINGS came"
        fix = "Check the server that terminates TLS there: it must speak HTTP/2 (an nginx server needs http2 on)."
        yield failed(facts.ref, f"{why}.", fix)
    else:
        streams = h2.settings.get(_MAX_CONCURRENT_STREAMS)
        allowed = f"{streams} calls at a time" if streams is not None else "any number of calls at a time"
        yield passed(facts.ref, f"it speaks HTTP/2 and accepts {allowed} on a connection.")


RULE = Rule(
    "HTTP2_SETTINGS",
    "HTTP/2",
    'gRPC is HTTP/2; an HTTP/1.1 server there shows as "Incorrect port or sdk is incompatible with server" '
    "(failures F12 and F13).",
    Scope.ADDRESS,
    _check,
)
