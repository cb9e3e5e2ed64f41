"""A reserved address."""

from __future__ import annotations

from kiteway.diagnostics import Severity
from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import Ingress

RULE = rule_of_reasons(
    "STATIC_IP",
    title="A reserved address",
    why="The guide reserves none (trap G5): the DNS record can only be made after the load balancer, and a Google-managed certificate waits for that record. Without effect outside GKE.",
    reasons=frozenset({"StaticIPMissing", "StaticIPConflict"}),
    kinds=(Ingress,),
    when_passed="it names one reserved address, or is not meant for GKE.",
    severity=Severity.WARNING,
)
