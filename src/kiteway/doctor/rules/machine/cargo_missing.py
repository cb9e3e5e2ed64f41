"""Whether the filter could be built."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import Severity
from kiteway.doctor.machine import MACHINE, MachineFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed, skipped


def _check(facts: MachineFacts) -> Iterator[Finding]:
    if facts.cargo:
        yield passed(MACHINE, "cargo is on PATH.")
    elif not facts.filter_problem:
        yield skipped(MACHINE, "the filter is there, so cargo is not needed.")
    else:
        message = "cargo is not on PATH, so the filter cannot be built."
        yield failed(
            MACHINE,
            message,
            "Install Rust 1.82 or later (rustup) and then Kiteway from its sources, or the wheel with the filter.",
        )


RULE = Rule(
    "CARGO_MISSING",
    "Rust's cargo",
    "The filter is built when Kiteway is installed from source; without cargo it is left out.",
    Scope.MACHINE,
    _check,
    Severity.WARNING,
)
