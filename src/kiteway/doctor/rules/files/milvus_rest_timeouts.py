"""The time that Milvus gives a REST call."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import Severity
from kiteway.doctor.manifests import Manifests
from kiteway.doctor.milvus_config import MilvusConfig
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed
from kiteway.resources import BackendConfig

_BUDGET = ("proxy", "http", "overallTimeoutBudget")
_REQUEST = ("proxy", "http", "requestTimeoutMs")
_SEPARATE = (("proxy", "http", "readTimeout"), ("proxy", "http", "writeTimeout"))
_OLD_DEFAULT = "30000"


def _check(manifests: Manifests) -> Iterator[Finding]:
    allowed = [c.spec.timeout_sec for c in manifests.judged(BackendConfig) if c.spec.timeout_sec is not None]
    for config in manifests.milvus:
        failures = [*_refused(config), *_short(config, max(allowed, default=None))]
        yield from failures
        if not failures:
            yield passed(config.ref, "no setting of REST's timeouts is in the way.")


def _refused(config: MilvusConfig) -> Iterator[Finding]:
    """Yield the settings with which the newest Milvus does not start."""
    request = config.setting(*_REQUEST)
    found = [_REQUEST] if request is not None and str(request) != _OLD_DEFAULT else []
    found += [path for path in _SEPARATE if config.seconds(*path)]
    for path in found:
        yield failed(
            config.ref,
            f"{'.'.join(path)} is set: a Milvus that knows {'.'.join(_BUDGET)} does not start with it.",
            f"Remove it before the upgrade, and set {'.'.join(_BUDGET)}, 120s by default, to the time that a REST call may take.",
            position=config.at(*path),
        )


def _short(config: MilvusConfig, allowed: int | None) -> Iterator[Finding]:
    budget = config.seconds(*_BUDGET)
    if budget is not None and allowed is not None and budget < allowed:
        yield failed(
            config.ref,
            f"{'.'.join(_BUDGET)} ends a REST call after {budget:g} s, though the BackendConfig's timeoutSec allows {allowed} s.",
            f"Set {'.'.join(_BUDGET)} to {allowed}s if REST calls may take so long; gRPC has no such limit.",
            severity=Severity.NOTE,
            position=config.at(*_BUDGET),
        )


RULE = Rule(
    "MILVUS_REST_TIMEOUTS",
    "Timeouts of REST in Milvus",
    "The newest Milvus (3.x of autumn 2026; pkg/util/paramtable/http_param.go) gives a REST call proxy.http.overallTimeoutBudget, "
    "120 s by default, whatever the balancer allows. It replaces requestTimeoutMs (2.5.10 and later, 30 s), readTimeout "
    "and writeTimeout (2.6), and Milvus refuses to start with another value of these.",
    Scope.FILES,
    _check,
    Severity.WARNING,
)
