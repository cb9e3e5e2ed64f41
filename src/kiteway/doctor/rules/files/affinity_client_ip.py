"""Session affinity that undoes the balancing."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import Severity
from kiteway.doctor.manifests import Manifests
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed
from kiteway.resources import BackendConfig
from kiteway.resources.kinds.backend_config import AffinityType


def _check(manifests: Manifests) -> Iterator[Finding]:
    for config in manifests.of(BackendConfig):
        affinity = config.spec.session_affinity
        kind = affinity.affinity_type if affinity else AffinityType.NONE
        if kind is AffinityType.NONE:
            yield passed(config.ref, "requests are spread over all endpoints.")
        else:
            yield failed(
                config.ref,
                f"spec.sessionAffinity is {kind}: all calls of a client go to one Milvus proxy, which needs no affinity.",
                "Remove spec.sessionAffinity.",
                position=config.at("spec", "sessionAffinity"),
            )


RULE = Rule(
    "AFFINITY_CLIENT_IP",
    "sessionAffinity of a BackendConfig",
    "Milvus proxies keep nothing that a client has to come back for; with affinity one busy client loads one proxy "
    "while the others idle, which is what a Layer-7 balancer is there to prevent (failure F1).",
    Scope.FILES,
    _check,
    Severity.WARNING,
)
