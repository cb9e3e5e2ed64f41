"""The Layer-4 load balancer of the chart."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import Severity
from kiteway.doctor.manifests import Manifests
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed


def _check(manifests: Manifests) -> Iterator[Finding]:
    for config in manifests.milvus:
        type_ = config.value("service", "type")
        if type_ is None:
            continue
        if type_ == "LoadBalancer":
            yield failed(
                config.ref,
                "service.type is LoadBalancer: Milvus is also reachable past the Layer-7 balancer, by an address of its "
                "own.",
                "Set service.type to ClusterIP once clients use the new address.",
                position=config.value_at("service", "type"),
            )
        else:
            yield passed(config.ref, "Milvus has no Layer-4 load balancer of its own.")


RULE = Rule(
    "HELM_L4_SERVICE",
    "service.type of the Helm values",
    "A Layer-4 balancer spreads connections, not calls: gRPC keeps one connection, so all calls of a client meet one "
    "proxy (failure F1), and clients can bypass everything that the Layer-7 balancer enforces.",
    Scope.FILES,
    _check,
    Severity.WARNING,
)
