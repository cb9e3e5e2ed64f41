"""Rules and their findings."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from kiteway.diagnostics import ObjectRef, Position, Severity

S = TypeVar("S")


class Scope(enum.StrEnum):
    """The input of a rule: files, an address, a cluster or this machine."""

    FILES = "files"
    ADDRESS = "address"
    CLUSTER = "cluster"
    MACHINE = "machine"


class Result(enum.StrEnum):
    """The result of a check, in the words of check-gke-ingress."""

    PASSED = "PASSED"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"


@dataclass(frozen=True, slots=True)
class Finding:
    """
    The finding of a rule about one resource.

    Attributes:
        result: see `Result`; SKIPPED means that the rule could not judge, and the message says why.
        resource: what it is about.
        message: the finding, one sentence.
        fix: what to do; only if the rule failed.
        severity: the severity of a failure; None for the rule's own.
        position: where in a file, if it came from one.
        reason: the reason of the diagnostic that it reports, under which `kiteway plan` reports it; empty for others.
    """

    result: Result
    resource: ObjectRef
    message: str
    fix: str = ""
    severity: Severity | None = None
    position: Position | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Rule(Generic[S]):
    """
    One thing that can be wrong.

    Attributes:
        id: stable; in capitals, or the name of the check in check-gke-ingress that it is.
        title: what the rule checks, in a few words.
        why: the consequence of a failure, with the guide's trap or the reported failure that shows it.
        scope: its input.
        check: yields the findings; never raises, whatever the facts are.
        severity: of its findings, unless a finding has its own; only an error makes `kiteway doctor` fail.
        reasons: the reasons of the diagnostics that it reports, if it judges by diagnostics.
        needs: kinds that it must be able to read; without the right to read them it is skipped.
    """

    id: str
    title: str
    why: str
    scope: Scope
    check: Callable[[S], Iterable[Finding]]
    severity: Severity = Severity.ERROR
    reasons: frozenset[str] = frozenset()
    needs: frozenset[str] = frozenset()

    @property
    def docs(self) -> str:
        """The page section that explains the rule."""
        return f"docs/reference/doctor.md#{self.id.lower()}"


def passed(resource: ObjectRef, message: str) -> Finding:
    """Return the finding that a resource passes."""
    return Finding(Result.PASSED, resource, message)


def skipped(resource: ObjectRef, message: str) -> Finding:
    """Return the finding that a resource could not be judged, and why."""
    return Finding(Result.SKIPPED, resource, message)


def failed(
    resource: ObjectRef,
    message: str,
    fix: str,
    *,
    severity: Severity | None = None,
    position: Position | None = None,
    reason: str = "",
) -> Finding:
    """Return the finding that a resource fails, with what to do."""
    return Finding(Result.FAILED, resource, message, fix, severity, position, reason)
