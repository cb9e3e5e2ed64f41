"""The number of Milvus proxies."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import Severity
from kiteway.doctor.manifests import Manifests
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed


def _check(manifests: Manifests) -> Iterator[Finding]:
    for config in manifests.milvus:
        replicas = config.value("proxy", "replicas")
        if not isinstance(replicas, int) or isinstance(replicas, bool):
            continue
        if replicas < 2:
            yield failed(
                config.ref,
                f"proxy.replicas is {replicas}: there is nothing to balance over, and every restart is an outage.",
                "Set proxy.replicas to 2 or more.",
                position=config.value_at("proxy", "replicas"),
            )
        else:
            yield passed(config.ref, f"there are {replicas} proxies.")


RULE = Rule(
    "SINGLE_PROXY",
    "proxy.replicas of the Helm values",
    "With one proxy a rolling restart interrupts every client (failures F7 and F23).",
    Scope.FILES,
    _check,
    Severity.WARNING,
)
