"""How many files a process may open."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import Severity
from kiteway.doctor.machine import MACHINE, MachineFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed
from kiteway.envoy.descriptors import Descriptors

_ENOUGH = 65_536


def _check(facts: MachineFacts) -> Iterator[Finding]:
    limit = facts.descriptors
    if limit is not None and limit < _ENOUGH:
        most = Descriptors.of(limit)
        yield failed(
            MACHINE,
            f"a process may open {limit} files: Envoy can hold {most.connections} connections and {most.endpoints} endpoints.",
            f"Raise the hard limit (ulimit -Hn {_ENOUGH}, or LimitNOFILE= of a systemd unit).",
        )
    else:
        yield passed(MACHINE, f"a process may open {'any number of' if limit is None else limit} files.")


RULE = Rule(
    "FILE_DESCRIPTORS",
    "The limit of open files",
    "Every connection, of a client or to an endpoint, is an open file. Kiteway raises the soft limit to the "
    "hard one by itself. Half of it is for connections of clients and those to Milvus, the other half for health checks: "
    "two connections for each endpoint. Endpoints that do not fit are not used, and `kiteway status` says so.",
    Scope.MACHINE,
    _check,
    Severity.WARNING,
)
