"""The FrontendConfig that an Ingress names."""

from __future__ import annotations

from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import Ingress

RULE = rule_of_reasons(
    "FrontendConfigExistenceCheck",
    title="The FrontendConfig that an Ingress names",
    why="GKE refuses an Ingress whose FrontendConfig is missing.",
    reasons=frozenset({"FrontendConfigNotFound"}),
    kinds=(Ingress,),
    when_passed="it names no FrontendConfig, or one that exists.",
    needs=frozenset({"FrontendConfig"}),
)
