"""Settings that only Google's infrastructure has."""

from __future__ import annotations

from kiteway.diagnostics import Severity
from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import BackendConfig, FrontendConfig, Ingress, Service

RULE = rule_of_reasons(
    "GOOGLE_ONLY",
    title="Settings that only Google's infrastructure has",
    why="Identity-Aware Proxy, Cloud Armor, Cloud CDN and pre-shared certificates have no effect elsewhere; a user who relies on their protection must know that.",
    reasons=frozenset(
        {
            "GoogleOnly",
            "IAPUnsupported",
            "SecurityPolicyUnsupported",
            "CDNUnsupported",
            "PreSharedCertUnsupported",
            "TransparentHealthCheckerUnsupported",
            "SslPolicyUnknown",
        }
    ),
    kinds=(
        BackendConfig,
        FrontendConfig,
        Ingress,
        Service,
    ),
    when_passed="it uses no setting that needs Google's infrastructure.",
    severity=Severity.WARNING,
)
