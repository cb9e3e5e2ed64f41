"""Whether the filter was built."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import Severity
from kiteway.doctor.machine import MACHINE, MachineFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed


def _check(facts: MachineFacts) -> Iterator[Finding]:
    if facts.filter_problem:
        first, _, rest = facts.filter_problem.partition("; ")
        yield failed(MACHINE, f"{first}.", f"{rest[:1].upper()}{rest[1:]}")
    else:
        yield passed(MACHINE, "the filter is there.")


RULE = Rule(
    "FILTER_PRESENT",
    "The Envoy filter",
    "Without it Kiteway still balances every call, but does not understand Milvus's calls: no metrics by rpc, no retry when "
    "Milvus says inside an answer with gRPC status OK that it is not ready, no limits, "
    "admission or cache of a MilvusPolicy.",
    Scope.MACHINE,
    _check,
    Severity.WARNING,
)
