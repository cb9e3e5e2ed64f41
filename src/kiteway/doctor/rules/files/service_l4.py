"""A Layer-4 load balancer beside the Ingress."""

from __future__ import annotations

from kiteway.diagnostics import Severity
from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import Service

RULE = rule_of_reasons(
    "SERVICE_L4",
    title="A Layer-4 load balancer beside the Ingress",
    why="A Layer-4 balancer spreads connections, not calls: gRPC keeps one connection, so all calls of a client meet one proxy (failure F1), and clients can bypass everything that the Layer-7 balancer enforces.",
    reasons=frozenset({"ServiceTypeLoadBalancer"}),
    kinds=(Service,),
    when_passed="it has no address of its own beside the Ingress.",
    severity=Severity.WARNING,
)
