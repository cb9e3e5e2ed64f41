"""Whether Milvus's internal ports can be reached from here."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import Severity
from kiteway.doctor.address import INTERNAL_PORT, AddressFacts
from kiteway.doctor.milvus_config import PROXY_PORT
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed, skipped
from kiteway.probe.backend import HEALTH_PORT


def _check(facts: AddressFacts) -> Iterator[Finding]:
    if facts.healthz is None or facts.internal is None:
        yield skipped(facts.ref, "the name has no address.")
    elif facts.loopback:
        yield skipped(facts.ref, "a loopback address shows nothing of what others can reach.")
    elif facts.target.endpoint.port == PROXY_PORT:
        yield skipped(facts.ref, "this is Milvus itself, not the balancer in front of it.")
    else:
        opened = [HEALTH_PORT] if facts.healthz.status is not None else []
        opened += [INTERNAL_PORT] if facts.internal.failure is None else []
        for port in opened:
            yield failed(
                facts.ref,
                f"port {port} of the address can be reached from here; it is Milvus's management, and needs no credentials by default.",
                "Close it with a firewall rule, or remove it from the Service of type LoadBalancer. For 9091 a Milvus 3.x has "
                "common.security.adminAuthEnabled as well, and 2.6 managementMetricsOnly.",
            )
        if not opened:
            yield passed(facts.ref, f"ports {HEALTH_PORT} and {INTERNAL_PORT} cannot be reached from here.")


RULE = Rule(
    "MANAGEMENT_PORT_OPEN",
    "Ports 9091 and 19529 from outside",
    "On 9091 Milvus shows metrics and profiles, sets log levels and stops components, all without credentials unless "
    "common.security.adminAuthEnabled (3.x) is on; on 19529 proxies trust each other, in all versions.",
    Scope.ADDRESS,
    _check,
    Severity.WARNING,
)
