"""Routes to Milvus's ports 9091 and 19529."""

from __future__ import annotations

from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import Ingress, Service

RULE = rule_of_reasons(
    "MANAGEMENT_PORT",
    title="Routes to Milvus's ports 9091 and 19529",
    why="On these ports anyone can read metrics and profiles, set log levels and stop components without credentials. They must never be reachable through the balancer.",
    reasons=frozenset({"ManagementPort"}),
    kinds=(
        Ingress,
        Service,
    ),
    when_passed="no route leads to Milvus's management.",
)
