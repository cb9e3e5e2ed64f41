"""Whether the health port and the serving port agree."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.doctor.address import AddressFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed, skipped
from kiteway.probe.backend import HEALTH_PATH, HEALTH_PORT


def _check(facts: AddressFacts) -> Iterator[Finding]:
    healthz, tcp = facts.healthz, facts.tcp
    if healthz is None or tcp is None or healthz.failure is not None:
        yield skipped(facts.ref, f"port {HEALTH_PORT} does not answer from here.")
    elif healthz.status == 200 and tcp.failure is not None:
        yield failed(
            facts.ref,
            f"port {HEALTH_PORT} answers {HEALTH_PATH} with OK, but the serving port does not: {tcp.failure.detail}.",
            "Let the balancer try another endpoint when a connection fails, and start sending to new ones slowly, as "
            "Kiteway does.",
        )
    elif healthz.status != 200 and tcp.failure is None:
        yield failed(
            facts.ref,
            f"the serving port accepts connections, but port {HEALTH_PORT} answers {HEALTH_PATH} with {healthz.status}.",
            "Look at Milvus's logs for the component that is not healthy.",
        )
    else:
        yield passed(facts.ref, "the health port and the serving port agree.")


RULE = Rule(
    "HEALTHZ_RACE",
    "The health port against the serving port",
    "Milvus answers /healthz on 9091 before it listens for gRPC: a balancer that trusts it sends calls to a port that "
    "refuses them (failure F4).",
    Scope.ADDRESS,
    _check,
)
