"""The port of REST beside gRPC with TLS."""

from __future__ import annotations

from kiteway.diagnostics import Severity
from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import Service

RULE = rule_of_reasons(
    "REST_PORT",
    title="The port of REST beside gRPC with TLS",
    why="With TLS Milvus serves REST on a port of its own or not at all (trap G1, failure F3); kiteway.io/rest-port names this port.",
    reasons=frozenset({"RestPortMissing", "RestPortNotFound"}),
    kinds=(Service,),
    when_passed="REST has a port, or the balancer is Google's, which does not read kiteway.io/rest-port.",
    severity=Severity.WARNING,
)
