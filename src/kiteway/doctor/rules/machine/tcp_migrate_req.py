"""Whether the kernel hands waiting connections of a closed listener to the next one."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import Severity
from kiteway.doctor.machine import MACHINE, MachineFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed, skipped


def _check(facts: MachineFacts) -> Iterator[Finding]:
    if facts.migrate_req is None:
        yield skipped(MACHINE, "this kernel has no net.ipv4.tcp_migrate_req (Linux 5.14 and later have).")
    elif facts.migrate_req == 0:
        yield failed(
            MACHINE,
            "net.ipv4.tcp_migrate_req is 0: connections that wait while a listener closes are reset, and clients are "
            "refused while a dead Envoy is restarted.",
            "sysctl -w net.ipv4.tcp_migrate_req=1, if clients must not notice a restart.",
        )
    else:
        yield passed(MACHINE, "waiting connections move to the next listener when one closes.")


RULE = Rule(
    "TCP_MIGRATE_REQ",
    "net.ipv4.tcp_migrate_req",
    "When one Kiteway takes over from another on the same port, connections that the kernel has completed and the old "
    "one has not accepted are lost, unless the kernel may migrate them. With this setting, clients also wait for a "
    "restarted Envoy instead of being refused.",
    Scope.MACHINE,
    _check,
    Severity.WARNING,
)
