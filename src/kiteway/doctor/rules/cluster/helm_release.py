"""Whether the Helm release exists and is complete."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import Severity
from kiteway.doctor.cluster.facts import HELM_RELEASE, ClusterFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed
from kiteway.printable import suggested


def _check(facts: ClusterFacts) -> Iterator[Finding]:
    if facts.name not in facts.instances and "Service" not in facts.unread_kinds:
        others = f"; the releases there are {', '.join(facts.instances)}" if facts.instances else ""
        yield failed(
            facts.release_ref,
            f"no Service in namespace {facts.namespace} belongs to it{others}.",
            "Give --namespace and --release.",
        )
    elif facts.release is None:
        if HELM_RELEASE not in facts.unread_kinds:
            yield failed(
                facts.release_ref,
                "Helm knows no such release, so Milvus's settings are unknown.",
                "Give --release if it has another name. A Milvus that an operator manages has no Helm release.",
                severity=Severity.WARNING,
            )
    elif facts.release.status != "deployed":
        yield failed(
            facts.release_ref,
            f"revision {facts.release.revision} is {facts.release.status}: the next upgrade fails, and the running objects "
            "may be a mixture of two revisions.",
            f"Complete it: {suggested('helm', 'rollback', facts.name, '-n', facts.namespace)}, or upgrade again.",
        )
    else:
        yield passed(facts.release_ref, f"revision {facts.release.revision} is deployed.")


RULE = Rule(
    "HELM_RELEASE",
    "The Helm release",
    "An interrupted upgrade leaves the release in pending-upgrade, with values that were not applied.",
    Scope.CLUSTER,
    _check,
)
