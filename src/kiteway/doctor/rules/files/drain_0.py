"""Connection draining of a BackendConfig."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import Severity
from kiteway.doctor.manifests import Manifests
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed
from kiteway.resources import BackendConfig


def _check(manifests: Manifests) -> Iterator[Finding]:
    for config in manifests.of(BackendConfig):
        draining = config.spec.connection_draining
        seconds = draining.draining_timeout_sec if draining else 0
        if seconds:
            yield passed(config.ref, f"calls in flight have {seconds} s to finish.")
        else:
            yield failed(
                config.ref,
                "spec.connectionDraining.drainingTimeoutSec is 0: calls in flight are cut when an endpoint goes away.",
                "Set it, e.g. 60.",
                position=config.at("spec", "connectionDraining", "drainingTimeoutSec"),
            )


RULE = Rule(
    "DRAIN_0",
    "connectionDraining of a BackendConfig",
    "The guide leaves it out (trap G8), so GKE's 0 s hold: every rolling restart of the proxies fails calls "
    "(failure F7).",
    Scope.FILES,
    _check,
    Severity.WARNING,
)
