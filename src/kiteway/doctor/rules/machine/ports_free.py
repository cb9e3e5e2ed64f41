"""Whether the default ports are free."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import Severity
from kiteway.doctor.machine import MACHINE, PORTS, MachineFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed


def _check(facts: MachineFacts) -> Iterator[Finding]:
    for port, why in facts.ports_taken.items():
        option = "--https-port" if port == PORTS[0] else "--http-port"
        message = f"port {port} of 127.0.0.1 cannot be used: {why}."
        yield failed(MACHINE, message, f"End the process that uses it, or give `kiteway up` {option}.")
    if not facts.ports_taken:
        yield passed(MACHINE, f"ports {' and '.join(str(port) for port in PORTS)} are free.")


RULE = Rule(
    "PORTS_FREE",
    "The default ports",
    "`kiteway up` listens on 8443 and 8080 by default. A running Kiteway uses them, too.",
    Scope.MACHINE,
    _check,
    Severity.WARNING,
)
