"""The timeout of a BackendConfig."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import Severity
from kiteway.doctor.manifests import Manifests
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed
from kiteway.resources import BackendConfig

_LONG_ENOUGH = 60
"""Seconds; a Load or a Flush of Milvus regularly takes longer than GKE's 30."""


def _check(manifests: Manifests) -> Iterator[Finding]:
    for config in manifests.of(BackendConfig):
        timeout = config.spec.timeout_sec
        at = config.at("spec", "timeoutSec")
        fix = "Set spec.timeoutSec, e.g. 3600."
        if timeout is None:
            message = "spec.timeoutSec is not set: GKE ends every call after 30 s."
            yield failed(config.ref, message, fix, position=at)
        elif timeout < _LONG_ENOUGH:
            message = f"spec.timeoutSec is {timeout}: calls that take longer, such as Load and Flush, are cut off."
            yield failed(config.ref, message, fix, position=at)
        else:
            yield passed(config.ref, f"a call may take {timeout} s.")


RULE = Rule(
    "TIMEOUT_30S",
    "timeoutSec of a BackendConfig",
    "The guide leaves it out (trap G8), so GKE's 30 s hold, and calls that take longer end in 502 or 504 (failure F8). "
    "Kiteway's own timeouts go by the kind of call; timeoutSec only caps them.",
    Scope.FILES,
    _check,
    Severity.WARNING,
)
