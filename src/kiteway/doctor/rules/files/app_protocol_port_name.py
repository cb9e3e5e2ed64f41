"""Port names in cloud.google.com/app-protocols."""

from __future__ import annotations

from kiteway.diagnostics import Severity
from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import Service

RULE = rule_of_reasons(
    "APP_PROTOCOL_PORT_NAME",
    title="Port names in cloud.google.com/app-protocols",
    why='Ports are looked up by name only: {"19530":"HTTP2"} is silently ignored, and GKE uses HTTP/1.1 to the port, which cannot carry gRPC (failure F13).',
    reasons=frozenset({"AppProtocolPortName"}),
    kinds=(Service,),
    when_passed="every name in cloud.google.com/app-protocols is that of a port.",
    severity=Severity.WARNING,
)
