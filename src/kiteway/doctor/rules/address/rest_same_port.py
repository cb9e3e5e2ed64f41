"""REST on the port of gRPC."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import Severity
from kiteway.doctor.address import REST_PATH, AddressFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed, skipped

_FIX = "Give REST a port of its own (proxy.http.port) and name it in the Service's annotation kiteway.io/rest-port."


def _check(facts: AddressFacts) -> Iterator[Finding]:
    rest = facts.rest
    if facts.speaks_tls:
        yield skipped(facts.ref, "the server speaks TLS: see TLS_HANDSHAKE.")
    elif rest is None:
        yield skipped(facts.ref, "no connection.")
    elif rest.failure is not None:
        yield failed(facts.ref, f"POST {REST_PATH}: {rest.failure.detail}.", _FIX)
    elif "application/grpc" in f"{rest.content_type} {rest.body}":
        yield failed(facts.ref, "REST is answered as if it were gRPC: Milvus has no REST on this port.", _FIX)
    elif rest.balancer:
        # 501 says that REST has no port; every other answer of Kiteway's own is about the host or the path.
        fix = _FIX if rest.status == 501 else "See GRPC_DIRECT."
        yield failed(facts.ref, f"POST {REST_PATH} is answered by Kiteway itself: {rest.balancer}.", fix)
    elif rest.status is not None and 300 <= rest.status < 400:
        yield skipped(facts.ref, f"POST {REST_PATH} is redirected ({rest.status}).")
    elif rest.status is not None and rest.status >= 500:
        yield failed(facts.ref, f"POST {REST_PATH} is answered with {rest.status} ({_first_line(rest.body)}).", _FIX)
    else:
        yield passed(facts.ref, f"POST {REST_PATH} is answered with {rest.status}.")


def _first_line(body: str) -> str:
    return body.strip().partition("\n")[0][:200] or "no text"


RULE = Rule(
    "REST_SAME_PORT",
    "REST beside gRPC",
    "With tlsMode 1 Milvus serves no REST on its gRPC port (failure F3; all versions). One public port can serve both when the "
    "balancer tells them apart by content-type. The rule asks once, for version 2 of REST: proxy.http.enableV1 (2.6, 3.0.1) may "
    "turn version 1 off, and a Milvus before 2.4, which has no version 2, answers 404, so it serves REST, too.",
    Scope.ADDRESS,
    _check,
    Severity.WARNING,
)
