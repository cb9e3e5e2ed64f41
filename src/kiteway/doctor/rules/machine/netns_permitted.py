"""Whether a network namespace can be made."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import Severity
from kiteway.doctor.machine import MACHINE, MachineFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed


def _check(facts: MachineFacts) -> Iterator[Finding]:
    if facts.netns_problem:
        yield failed(
            MACHINE,
            f"no network namespace can be made: {facts.netns_problem}.",
            "Run as root or allow unprivileged user namespaces; `kiteway up` does not need it.",
        )
    else:
        yield passed(MACHINE, "network namespaces can be made.")


RULE = Rule(
    "NETNS_PERMITTED",
    "Network namespaces",
    "The embedded Milvus of `kiteway demo` listens on every address of the machine; in a network namespace of its own "
    "no other machine can reach it.",
    Scope.MACHINE,
    _check,
    Severity.WARNING,
)
