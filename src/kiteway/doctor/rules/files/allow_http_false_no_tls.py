"""Whether an Ingress has a port on which it is served."""

from __future__ import annotations

from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import Ingress

RULE = rule_of_reasons(
    "ALLOW_HTTP_FALSE_NO_TLS",
    title="A port on which the Ingress is served",
    why="With port 80 turned off and no certificate for port 443 GKE builds nothing at all.",
    reasons=frozenset({"AllProtocolsDisabled"}),
    kinds=(Ingress,),
    when_passed="it is served on port 80 or on port 443.",
)
