"""gRPC in plaintext to the Pods."""

from __future__ import annotations

from kiteway.diagnostics import Severity
from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import Service

RULE = rule_of_reasons(
    "PLAINTEXT_BACKEND",
    title="gRPC in plaintext to the Pods",
    why="Kiteway supports it, GKE does not: GKE uses HTTP/1.1 to a port without app-protocols HTTP2, which cannot carry gRPC (failures F13 and F22).",
    reasons=frozenset(
        {
            "AppProtocolMissing",
            "AppProtocolIgnored",
            "AppProtocolConflict",
            "H2CBackend",
            "HTTP1Backend",
            "TLSWithoutHTTP2",
        }
    ),
    kinds=(Service,),
    when_passed="GKE would use HTTP/2 to it as well.",
    severity=Severity.WARNING,
)
