"""What a rule is, and what it finds."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from kiteway.diagnostics import ObjectRef, Position, Severity

S = TypeVar("S")


class Scope(enum.StrEnum):
    """What a rule looks at."""

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
    What a rule found about one resource.

    Attributes:
        result: see `Result`; SKIPPED means that it could not be judged, and the message says why.
        resource: what it is about.
        message: what is so, one sentence.
        fix: what to do about it; only if it failed.
        severity: how bad it is if it failed; None is the rule's own.
        position: where in a file, if it came from one.
    """

    result: Result
    resource: ObjectRef
    message: str
    fix: str = ""
    severity: Severity | None = None
    position: Position | None = None


@dataclass(frozen=True, slots=True)
class Rule(Generic[S]):
    """
    One thing that can be wrong.

    Attributes:
        id: stable; in capitals, or the name of the check in check-gke-ingress that it is.
        title: what is looked at, a few words.
        why: what goes wrong when it fails, and in which trap of the guide or reported failure that was seen.
        scope: what it looks at.
        check: yields the findings; never raises, whatever the facts are.
        severity: of what it finds, unless the finding says otherwise; only an error makes `kiteway doctor` fail.
        reasons: the diagnostics that it stands for, if it judges by diagnostics.
        needs: kinds that it would judge wrongly without: whoever may not see them is told so instead.
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

    def plain(self) -> dict[str, str]:
        """Return what it is as plain values."""
        return {
            "id": self.id,
            "scope": str(self.scope),
            "severity": str(self.severity),
            "title": self.title,
            "why": self.why,
            "docs": self.docs,
        }


def passed(resource: ObjectRef, message: str) -> Finding:
    """Return that a resource is in order."""
    return Finding(Result.PASSED, resource, message)


def skipped(resource: ObjectRef, message: str) -> Finding:
    """Return that a resource could not be judged, and why."""
    return Finding(Result.SKIPPED, resource, message)


def failed(
    resource: ObjectRef,
    message: str,
    fix: str,
    *,
    severity: Severity | None = None,
    position: Position | None = None,
) -> Finding:
    """Return what is wrong with a resource and what to do."""
    return Finding(Result.FAILED, resource, message, fix, severity, position)
