"""Compares calls at the Pods with calls through the balancer."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.doctor.address import AddressFacts
from kiteway.doctor.cluster.facts import ClusterFacts, is_seen
from kiteway.doctor.rule import Finding, Result, Rule, Scope, failed, passed, skipped
from kiteway.doctor.rules.address.grpc_direct import RULE as GRPC_DIRECT


def _check(facts: ClusterFacts) -> Iterator[Finding]:
    asked = [back for back in facts.backs if is_seen(back)]
    answering = [back for back in asked if _answers(back)]
    for front in facts.fronts:
        if _answers(front):
            yield passed(front.ref, "Milvus answers through the balancer.")
        elif not asked:
            yield skipped(
                front.ref, "no Pod can be reached from here for a comparison; run the doctor in the cluster's network."
            )
        elif answering:
            yield failed(
                front.ref,
                f"Milvus answers at {len(answering)} of {len(asked)} Pods, but not through the balancer: the fault lies "
                "between the two.",
                "Look at the checks of the Ingress and of the Service; Milvus itself works.",
            )
        else:
            yield failed(
                front.ref,
                f"Milvus answers neither through the balancer nor at any of {len(asked)} Pods: the fault is in Milvus or in "
                "the protocol that it is called by.",
                "Look at the checks of the Pods, and at Milvus's logs.",
            )


def _answers(facts: AddressFacts) -> bool:
    return all(finding.result is Result.PASSED for finding in GRPC_DIRECT.check(facts))


RULE = Rule(
    "GRPC_PATH",
    "Calls at the Pods and through the balancer",
    "The same calls at the Pods and at the Ingress's address show on which side of the balancer the fault is.",
    Scope.CLUSTER,
    _check,
)
