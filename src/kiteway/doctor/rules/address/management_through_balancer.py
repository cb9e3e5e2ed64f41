"""Whether the balancer routes to Milvus's management port."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.doctor.address import METRICS_PATH, AddressFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed, skipped


def _check(facts: AddressFacts) -> Iterator[Finding]:
    metrics = facts.metrics
    if metrics is None:
        yield skipped(facts.ref, "no connection.")
    elif metrics.status == 200 and ("milvus_" in metrics.body or metrics.body.startswith("# HELP")):
        yield failed(
            facts.ref,
            f"{METRICS_PATH} shows Milvus's metrics to everyone: the balancer routes to port 9091.",
            "Route to the serving port only; no path may lead to Milvus's port 9091.",
        )
    else:
        yield passed(facts.ref, f"{METRICS_PATH} shows nothing of Milvus.")


RULE = Rule(
    "MANAGEMENT_THROUGH_BALANCER",
    "Milvus's port 9091 through the balancer",
    "A route to the Service's second port (metrics, 9091) makes Milvus's management public: it needs no credentials, "
    "and can stop components.",
    Scope.ADDRESS,
    _check,
)
