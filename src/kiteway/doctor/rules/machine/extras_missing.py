"""Whether the optional parts are installed."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import Severity
from kiteway.doctor.machine import MACHINE, MachineFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed
from kiteway.extras import install_command

_FOR = {
    "verify": "`kiteway verify`",
    "acme": "managed certificates, and CAA records in `kiteway doctor`",
    "kubernetes": "`kiteway controller`",
}


def _check(facts: MachineFacts) -> Iterator[Finding]:
    for extra in facts.missing_extras:
        use = _FOR.get(extra, "a part of Kiteway")
        yield failed(
            MACHINE, f"the extra {extra} is not installed; it is for {use}.", f"Install it: {install_command(extra)}."
        )
    if not facts.missing_extras:
        yield passed(MACHINE, "every extra is installed.")


RULE = Rule(
    "EXTRAS_MISSING",
    "Optional packages",
    "A command that needs a missing extra reports it only when the command is used.",
    Scope.MACHINE,
    _check,
    Severity.WARNING,
)
