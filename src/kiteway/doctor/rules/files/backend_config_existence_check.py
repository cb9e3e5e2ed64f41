"""The BackendConfigs that a Service names."""

from __future__ import annotations

from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import Service

RULE = rule_of_reasons(
    "BackendConfigExistenceCheck",
    title="The BackendConfigs that a Service names",
    why="A missing BackendConfig is an error on GKE; without the guide's one Milvus is probed where it does not answer and every call ends in 502.",
    reasons=frozenset({"BackendConfigNotFound"}),
    kinds=(Service,),
    when_passed="every BackendConfig that it names exists.",
    needs=frozenset({"BackendConfig"}),
)
