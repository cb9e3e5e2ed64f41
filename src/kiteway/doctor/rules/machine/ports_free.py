"""Whether the default ports are free."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import Severity
from kiteway.doctor.machine import MACHINE, PORTS, MachineFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed
from kiteway.printable import printable


def _check(facts: MachineFacts) -> Iterator[Finding]:
    for port, why in facts.ports_taken.items():
        option = "--https-port" if port == PORTS[0] else "--http-port"
        message = f"port {port} of 127.0.0.1 cannot be used: {why}."
        yield failed(MACHINE, message, f"End the process that uses it, or give `kiteway up` {option}.")
    for port, data_dir in facts.ports_of_kiteway.items():
        yield passed(MACHINE, f"port {port} is used by the Kiteway with the data directory {printable(str(data_dir))}.")
    free = [str(port) for port in PORTS if port not in facts.ports_of_kiteway]
    if free and not facts.ports_taken:
        yield passed(MACHINE, f"free: {' and '.join(free)}.")


RULE = Rule(
    "PORTS_FREE",
    "The default ports",
    "`kiteway up` listens on 8443 and 8080 by default. If a Kiteway that runs already uses them, the rule passes.",
    Scope.MACHINE,
    _check,
    Severity.WARNING,
)
