"""Google's readiness gate in the proxies' Pods."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from kiteway.diagnostics import Severity
from kiteway.doctor.cluster.facts import ClusterFacts, Pod, Written, minutes
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed
from kiteway.resources import Service

_PATIENCE = dt.timedelta(minutes=10)
"""ingress-gce sets the condition after ten minutes in any case (pkg/neg/readiness)."""


def _check(facts: ClusterFacts) -> Iterator[Finding]:
    for service in facts.googles_services():
        pods = facts.pods_of(service)
        without = [pod for pod in pods if pod.gate is None]
        if without:
            yield _without(facts, service, without, len(pods))
        for pod in pods:
            yield from _unready(facts, pod)
        if pods and not without:
            yield passed(service.ref, f"all {len(pods)} Pods have Google's readiness gate.")


def _without(facts: ClusterFacts, service: Service, pods: list[Pod], total: int) -> Finding:
    names = ", ".join(pod.ref.name for pod in pods)
    written = facts.neg_written.get(service.ref)
    why = (
        f"{_older(written)}; the gate comes only into Pods that are created after NEG is on"
        if written is not None and all(pod.created < written.at for pod in pods)
        else "though NEG is on; the gate comes only into Pods that are created once an Ingress names the Service"
    )
    return failed(
        service.ref,
        f"{len(pods)} of {total} Pods lack Google's readiness gate ({names}), {why}: a restart stops the old proxy "
        "before the new one is in the group, and calls end in 502.",
        "Restart the proxies once the Ingress has its address: `kubectl rollout restart deployment`, then look again.",
    )


def _older(written: Written) -> str:
    return f"as they are older than the NEG annotation ({written.at:%Y-%m-%d %H:%M} UTC, by {written.by})"


def _unready(facts: ClusterFacts, pod: Pod) -> Iterator[Finding]:
    age = facts.age(pod.created)
    if pod.gate is None:
        return
    if pod.gate.reason == "LoadBalancerNegTimeout":
        yield failed(
            pod.ref,
            "Google gave up waiting for it to become healthy in the group (LoadBalancerNegTimeout), and set the condition.",
            "Look at the health check: the BackendConfig's port and path, and the firewall.",
        )
    elif pod.gate.status != "True" and age > _PATIENCE:
        reason = pod.gate.message or pod.gate.reason or "nothing yet"
        yield failed(
            pod.ref,
            f"Google has not found it healthy after {minutes(age)}: {reason.rstrip('.')}.",
            "Look at the health check: the BackendConfig's port and path, and the firewall.",
        )


RULE = Rule(
    "READINESS_GATE",
    "Google's readiness gate in the proxies' Pods",
    "Without the gate cloud.google.com/load-balancer-neg-ready Kubernetes does not wait for Google: each rolling restart "
    "answers 502 for up to minutes (trap G12, failure F7).",
    Scope.CLUSTER,
    _check,
    Severity.WARNING,
    needs=frozenset({"Pod"}),
)
