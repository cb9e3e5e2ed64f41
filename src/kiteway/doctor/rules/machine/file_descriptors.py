"""How many files a process may open."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import Severity
from kiteway.doctor.machine import MACHINE, MachineFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed

_ENOUGH = 65_536


def _check(facts: MachineFacts) -> Iterator[Finding]:
    limit = facts.descriptors
    if limit is not None and limit < _ENOUGH:
        yield failed(
            MACHINE,
            f"a process may open {limit} files: Envoy can hold about {limit // 2} connections at a time.",
            f"Raise the hard limit (ulimit -Hn {_ENOUGH}, or LimitNOFILE= of a systemd unit).",
        )
    else:
        yield passed(MACHINE, f"a process may open {'any number of' if limit is None else limit} files.")


RULE = Rule(
    "FILE_DESCRIPTORS",
    "The limit of open files",
    "Every connection, of a client or to an endpoint, is an open file. Kiteway raises the soft limit to the "
    "hard one by itself.",
    Scope.MACHINE,
    _check,
    Severity.WARNING,
)
