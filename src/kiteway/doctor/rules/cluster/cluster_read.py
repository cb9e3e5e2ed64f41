"""Which objects of the cluster may not be read."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import ObjectRef
from kiteway.doctor.cluster.facts import HELM_RELEASE, ClusterFacts, is_seen
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed, skipped


def _check(facts: ClusterFacts) -> Iterator[Finding]:
    if facts.problem:
        yield failed(
            facts.ref,
            f"the API server cannot be reached: {facts.problem.rstrip('.')}.",
            "Check the context (`kubectl config get-contexts`), the credentials and the network path.",
        )
        return
    for each in facts.unread:
        name = f" {each.name}" if each.name else ""
        where = facts.release_ref if each.kind == HELM_RELEASE else ObjectRef(each.kind, facts.namespace, each.name)
        yield skipped(where if each.name else facts.ref, f"{each.kind}{name} may not be read: {each.why}")
    if facts.backs and not any(is_seen(back) for back in facts.backs):
        yield skipped(
            facts.ref,
            "no Pod can be reached from here: to check their ports, TLS and calls, run the doctor in the cluster's network.",
        )
    if not facts.unread:
        yield passed(facts.ref, "everything that the diagnosis needs may be read.")


RULE = Rule(
    "CLUSTER_READ",
    "What may be read of the cluster",
    "A rule that cannot read a Secret must not report it as missing. So this check lists the objects that may not be "
    "read, and the rules that need them are skipped. deploy/doctor.yaml has all rights that the doctor uses.",
    Scope.CLUSTER,
    _check,
)
