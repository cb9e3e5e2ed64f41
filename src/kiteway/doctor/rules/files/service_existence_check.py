"""The Services that an Ingress names."""

from __future__ import annotations

from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import Ingress

RULE = rule_of_reasons(
    "ServiceExistenceCheck",
    title="The Services that an Ingress names",
    why="GKE refuses the whole Ingress if a Service or port that it names does not exist: the load balancer is unchanged.",
    reasons=frozenset({"ServiceNotFound", "ServicePortNotFound"}),
    kinds=(Ingress,),
    when_passed="every Service and port that it names exists.",
    needs=frozenset({"Service"}),
)
