"""The redirect from HTTP to HTTPS."""

from __future__ import annotations

from kiteway.diagnostics import Severity
from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import FrontendConfig

RULE = rule_of_reasons(
    "REDIRECT",
    title="The redirect from HTTP to HTTPS",
    why="A redirect needs both ports: without a certificate, or with allow-http false, nothing is redirected (trap G7).",
    reasons=frozenset({"RedirectWithoutTLS", "RedirectWithoutHttp"}),
    kinds=(FrontendConfig,),
    when_passed="both ports of its redirect are open.",
    severity=Severity.WARNING,
)
