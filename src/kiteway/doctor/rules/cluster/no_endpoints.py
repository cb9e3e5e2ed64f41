"""Services without an endpoint."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.doctor.cluster.facts import ClusterFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed


def _check(facts: ClusterFacts) -> Iterator[Finding]:
    empty = {diagnostic.object: diagnostic for diagnostic in facts.no_endpoints}
    for service in facts.services():
        found = empty.get(service.ref)
        if found is None:
            yield passed(service.ref, "it has an endpoint that is ready.")
            continue
        pods = facts.pods_of(service)
        seen = f" It selects {len(pods)} Pods, {sum(pod.ready for pod in pods)} of them ready."
        yield failed(service.ref, found.message + (seen if "Pod" not in facts.unread_kinds else ""), found.fix)


RULE = Rule(
    "NO_ENDPOINTS",
    "The endpoints of a Service",
    "A selector that matches no proxy, a targetPort that no container has, or proxies that do not become ready: the "
    "balancer is built all the same, and every call ends in 502 or UNAVAILABLE.",
    Scope.CLUSTER,
    _check,
    reasons=frozenset({"NoEndpoints"}),
    needs=frozenset({"EndpointSlice"}),
)
