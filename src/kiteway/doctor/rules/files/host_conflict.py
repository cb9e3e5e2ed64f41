"""Hosts that two Ingresses claim."""

from __future__ import annotations

from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import Ingress

RULE = rule_of_reasons(
    "HOST_CONFLICT",
    title="Hosts that two Ingresses claim",
    why="On GKE every Ingress has an address of its own; here they share one, and a host goes to the oldest Ingress that claims it.",
    reasons=frozenset({"HostConflict"}),
    kinds=(Ingress,),
    when_passed="no older Ingress holds one of its hosts.",
)
