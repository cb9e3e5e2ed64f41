"""The Services that an Ingress names."""

from __future__ import annotations

from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import Ingress

RULE = rule_of_reasons(
    "ServiceExistenceCheck",
    title="The Services that an Ingress names",
    why="An Ingress that names a Service or a port that is not there is refused by GKE as a whole: the load balancer stays as it was.",
    reasons=frozenset({"ServiceNotFound", "ServicePortNotFound"}),
    kinds=(Ingress,),
    when_passed="every Service and port that it names exists.",
    needs=frozenset({"Service"}),
)
