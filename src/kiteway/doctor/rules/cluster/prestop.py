"""Whether proxies stop gracefully."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import ObjectRef, Severity
from kiteway.doctor.cluster.facts import ClusterFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed
from kiteway.resources import BackendConfig, Service
from kiteway.resources import annotations as keys
from kiteway.resources.schema import Violation


def _check(facts: ClusterFacts) -> Iterator[Finding]:
    for service in facts.googles_services():
        pods = facts.pods_of(service)
        draining = _draining(facts, service)
        abrupt = [pod.ref.name for pod in pods if not pod.pre_stop]
        short = [pod.ref.name for pod in pods if pod.pre_stop and pod.grace < draining]
        if abrupt:
            yield failed(
                service.ref,
                f"{len(abrupt)} of {len(pods)} Pods have no preStop ({', '.join(abrupt)}): they stop listening while "
                "Google's balancer still sends them calls.",
                "Let preStop sleep longer than drainingTimeoutSec; `kiteway gke apply` patches the Deployment that way.",
            )
        if short:
            yield failed(
                service.ref,
                f"{', '.join(short)}: terminationGracePeriodSeconds is less than the draining of {draining} s, so they "
                "are killed while calls run.",
                f"Set terminationGracePeriodSeconds to more than {draining}.",
            )
        if pods and not abrupt and not short:
            yield passed(service.ref, "its Pods wait before they stop.")


def _draining(facts: ClusterFacts, service: Service) -> int:
    """Return the longest draining of the Service's BackendConfigs, in seconds."""
    reference = keys.parse_backend_config_ref(service.metadata.annotations.get(keys.BACKEND_CONFIG, ""))
    if isinstance(reference, Violation):
        return 0
    named = {
        ObjectRef(BackendConfig.KIND, service.ref.namespace, name)
        for name in (reference.default, *reference.ports.values())
    }
    found = (c.spec.connection_draining for c in facts.manifests.of(BackendConfig) if c.ref in named)
    return max((draining.draining_timeout_sec for draining in found if draining is not None), default=0)


RULE = Rule(
    "PRESTOP",
    "Graceful stop of the proxies",
    "Google's endpoint group removes a Pod only after its SIGTERM: without preStop, or killed before the draining is over, a "
    "proxy answers its last calls with 502 (trap G12, failure F7).",
    Scope.CLUSTER,
    _check,
    Severity.WARNING,
    needs=frozenset({"Pod"}),
)
