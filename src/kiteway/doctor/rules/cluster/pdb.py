"""Whether an eviction can stop all proxies at once."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import Severity
from kiteway.doctor.cluster.facts import ClusterFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed


def _check(facts: ClusterFacts) -> Iterator[Finding]:
    for service in facts.services():
        pods = facts.pods_of(service)
        if not pods:
            continue
        budgets = [b for b in facts.budgets if all(b.labels.items() <= pod.labels.items() for pod in pods)]
        stuck = [budget for budget in budgets if budget.allowed == 0 and budget.expected and all(p.ready for p in pods)]
        if len(pods) == 1:
            yield failed(
                service.ref,
                f"{pods[0].ref.name} is its only Pod: whenever it is evicted or restarted, no call is answered.",
                "Run two proxies or more, and a PodDisruptionBudget with maxUnavailable: 1.",
            )
        elif not budgets:
            yield failed(
                service.ref,
                f"no PodDisruptionBudget covers its {len(pods)} Pods: draining nodes may evict all of them at once.",
                "Make one with maxUnavailable: 1 for the proxies' labels.",
            )
        elif stuck:
            yield failed(
                stuck[0].ref,
                f"it allows no eviction though all {len(pods)} Pods are ready: nodes with a proxy cannot be drained, and "
                "GKE's upgrades wait an hour and then evict all the same.",
                "Use maxUnavailable: 1 instead of a minAvailable that equals the number of Pods.",
            )
        else:
            yield passed(
                service.ref, f"{budgets[0].ref.name} lets its {len(pods)} Pods be evicted one after the other."
            )


RULE = Rule(
    "PDB",
    "Eviction of the proxies",
    "GKE drains nodes for every upgrade: with one proxy, or without a PodDisruptionBudget, that is an outage (failures "
    "F7 and F23).",
    Scope.CLUSTER,
    _check,
    Severity.WARNING,
    needs=frozenset({"Pod", "PodDisruptionBudget"}),
)
