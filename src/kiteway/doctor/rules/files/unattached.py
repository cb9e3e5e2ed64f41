"""FrontendConfigs and BackendConfigs that nothing names."""

from __future__ import annotations

from kiteway.diagnostics import Severity
from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import BackendConfig, FrontendConfig

RULE = rule_of_reasons(
    "UNATTACHED",
    title="FrontendConfigs and BackendConfigs that nothing names",
    why="A FrontendConfig takes effect through an annotation of the Ingress, a BackendConfig through one of the Service; a misspelt or missing annotation leaves out the redirect, the health check and the timeouts without a message.",
    reasons=frozenset({"FrontendConfigUnattached", "BackendConfigUnattached"}),
    kinds=(BackendConfig, FrontendConfig),
    when_passed="an object names it.",
    severity=Severity.WARNING,
)
