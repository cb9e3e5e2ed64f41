"""Annotations of the live Service that are not in the release's values."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import Severity
from kiteway.doctor.cluster.facts import HELM_RELEASE, ClusterFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed
from kiteway.gke.live import dig
from kiteway.resources import annotations as keys

_KEYS = (keys.APP_PROTOCOLS, keys.BACKEND_CONFIG, keys.NEG, keys.REST_PORT)
"""The annotations that configure the balancer; those that controllers write are in no values."""


def _check(facts: ClusterFacts) -> Iterator[Finding]:
    if facts.release is None:
        return
    values = dig(facts.release.effective, "service", "annotations")
    written = values if isinstance(values, dict) else {}
    for service in facts.services():
        live = service.metadata.annotations
        by_hand = [key for key in _KEYS if key in live and key not in written]
        differ = [key for key in _KEYS if key in written and live.get(key) != str(written[key])]
        if by_hand:
            yield failed(
                service.ref,
                f"{', '.join(by_hand)}: on the live Service, but not in the values of release {facts.name}.",
                "Put the annotations into service.annotations: helm upgrade --reset-then-reuse-values -f ....",
            )
        if differ:
            yield failed(
                service.ref,
                f"{', '.join(differ)}: the values of release {facts.name} differ, and the next upgrade restores them.",
                "Decide which of the two is right, and write it into service.annotations.",
            )
        if not by_hand and not differ:
            yield passed(service.ref, "its annotations are those of the release's values.")


RULE = Rule(
    "HELM_VALUES_DRIFT",
    "The live Service against the release's values",
    "The guide annotates the Service with kubectl (trap G10): the next reinstallation, and every GitOps controller, removes "
    "the annotations, and without them Google's balancer neither reaches Milvus nor speaks its protocol.",
    Scope.CLUSTER,
    _check,
    Severity.WARNING,
    needs=frozenset({HELM_RELEASE}),
)
