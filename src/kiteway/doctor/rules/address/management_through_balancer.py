"""Whether the balancer routes to Milvus's management port."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.doctor.address import METRICS_PATH, AddressFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed, skipped
from kiteway.probe.http import HttpResult


def _check(facts: AddressFacts) -> Iterator[Finding]:
    metrics = facts.metrics
    if metrics is None:
        yield skipped(facts.ref, "no connection.")
    elif not _shows_metrics(metrics):
        yield passed(facts.ref, f"{METRICS_PATH} shows nothing of Milvus.")
    elif facts.connect is not None and facts.connect.call.failure is not None:
        yield failed(
            facts.ref,
            f"{METRICS_PATH} is answered and gRPC is not: this is Milvus's port for health and metrics (9091).",
            "Give Milvus's serving port (19530), or the balancer's.",
        )
    else:
        yield failed(
            facts.ref,
            f"{METRICS_PATH} shows Milvus's metrics to everyone: the balancer routes to port 9091.",
            "Route to the serving port only; no path may lead to Milvus's port 9091.",
        )


def _shows_metrics(answer: HttpResult) -> bool:
    return answer.status == 200 and ("milvus_" in answer.body or answer.body.startswith("# HELP"))


RULE = Rule(
    "MANAGEMENT_THROUGH_BALANCER",
    "Milvus's port 9091 through the balancer",
    "A route to the Service's second port (metrics, 9091) makes Milvus's management public: it needs no credentials, "
    "and can stop components.",
    Scope.ADDRESS,
    _check,
)
