"""The BackendConfigs that a Service names."""

from __future__ import annotations

from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import Service

RULE = rule_of_reasons(
    "BackendConfigExistenceCheck",
    title="The BackendConfigs that a Service names",
    why="A missing BackendConfig is an error on GKE. Without the guide's BackendConfig the health check uses a port at which Milvus does not answer, and every call ends in 502.",
    reasons=frozenset({"BackendConfigNotFound"}),
    kinds=(Service,),
    when_passed="every BackendConfig that it names exists.",
    needs=frozenset({"BackendConfig"}),
)
