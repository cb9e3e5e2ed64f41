"""Whether all pods of a Deployment are made from its present template."""

from __future__ import annotations

from kiteway.gke.live import Object, dig

READINESS_GATE = "cloud.google.com/load-balancer-neg-ready"
"""What GKE injects into pods that are created after their Service has a NEG."""


def rolled_out(workload: Object | None) -> tuple[bool, str]:
    """Return whether the rollout is complete, and a sentence with the numbers of new, old and available pods."""
    if workload is None:
        return False, "the Deployment is not there"
    name = workload["metadata"]["name"]
    wanted = dig(workload, "spec", "replicas")
    wanted = 1 if wanted is None else int(wanted)
    status = dig(workload, "status") or {}
    if status.get("observedGeneration", 0) < workload["metadata"].get("generation", 0):
        return False, f"Deployment {name}: its change is not observed yet"
    updated, total, available = (status.get(key, 0) for key in ("updatedReplicas", "replicas", "availableReplicas"))
    seen = f"Deployment {name}: {updated} of {wanted} pods are new, {total - updated} old, {available} available"
    return updated == total == wanted and available >= wanted, seen


def gated(pods: tuple[Object, ...]) -> int:
    """Return how many pods have Google's readiness gate."""
    return sum(
        any(gate.get("conditionType") == READINESS_GATE for gate in dig(pod, "spec", "readinessGates") or [])
        for pod in pods
    )
