"""The values of ``kiteway doctor --output json``; `resources` is in the format of check-gke-ingress."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from kiteway.diagnostics import Position, Severity
from kiteway.doctor.report import Check, Report
from kiteway.doctor.rule import Result, Rule, Scope

SCHEMA_VERSION: Final = 1
"""It grows when a field is removed, renamed or changes its meaning or type; a field may be added without."""


class CheckReport(msgspec.Struct, frozen=True):
    """
    A check of one resource.

    Attributes:
        name: the rule.
        reason: the reason under which `kiteway plan` reports the same problem; empty when it does not.
        message: the finding, one sentence.
        result: the result; `SKIPPED` means that the rule could not judge, and the message says why.
        severity: how bad a failure is; null unless the check failed.
        fix: what to do; empty unless the check failed.
        docs: the section of the documentation about the rule.
        position: where it is in a file; null for anything else.
    """

    name: str
    reason: str
    message: str
    result: Result
    severity: Severity | None
    fix: str
    docs: str
    position: Position | None

    @classmethod
    def of_check(cls, check: Check) -> CheckReport:
        """Return a check as JSON shows it."""
        finding = check.finding
        return cls(
            name=check.rule.id,
            reason=check.finding.reason,
            message=finding.message,
            result=finding.result,
            severity=check.severity,
            fix=finding.fix,
            docs=check.rule.docs,
            position=finding.position,
        )


class ResourceReport(msgspec.Struct, frozen=True):
    """
    A resource and its checks.

    Attributes:
        kind: its kind; also `Address`, `Machine`, `MilvusConfiguration`, `File` and `Files`.
        namespace: its namespace; empty for what is in none.
        name: its name.
        checks: its checks, in the order of the rules.
    """

    kind: str
    namespace: str
    name: str
    checks: tuple[CheckReport, ...]


class DoctorReport(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """
    The result of `kiteway doctor`.

    Attributes:
        schema_version: the version of this document.
        resources: the resources, by kind, namespace and name.
    """

    schema_version: int = SCHEMA_VERSION
    resources: tuple[ResourceReport, ...]

    @classmethod
    def of_report(cls, report: Report) -> DoctorReport:
        """Return all findings as JSON shows them."""
        return cls(
            resources=tuple(
                ResourceReport(about.kind, about.namespace, about.name, tuple(map(CheckReport.of_check, checks)))
                for about, checks in report.checks
            )
        )


class RuleReport(msgspec.Struct, frozen=True):
    """
    A rule.

    Attributes:
        id: its name.
        scope: what it judges: `files`, an `address`, a `cluster` or this `machine`.
        severity: how bad a failure is.
        title: what it checks, in a few words.
        why: the consequence of a failure.
        docs: the section of the documentation about it.
    """

    id: str
    scope: Scope
    severity: Severity
    title: str
    why: str
    docs: str

    @classmethod
    def of_rule(cls, rule: Rule[Any]) -> RuleReport:
        """Return a rule as JSON shows it."""
        return cls(rule.id, rule.scope, rule.severity, rule.title, rule.why, rule.docs)


class RuleList(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """
    The value of ``kiteway doctor --list --output json``.

    Attributes:
        schema_version: the version of this document.
        rules: every rule.
    """

    schema_version: int = SCHEMA_VERSION
    rules: tuple[RuleReport, ...]
