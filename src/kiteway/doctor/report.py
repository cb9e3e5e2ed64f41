"""Apply the rules: resources, and the checks of each."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Any

from kiteway.diagnostics import ObjectRef, Severity
from kiteway.doctor.registry import RULES
from kiteway.doctor.rule import Finding, Result, Rule, Scope, skipped


@dataclass(frozen=True, slots=True)
class Check:
    """A rule and its finding about one resource."""

    rule: Rule[Any]
    finding: Finding

    @property
    def code(self) -> str:
        """What `kiteway explain` explains: a problem has the same code in `kiteway plan`."""
        return self.finding.reason or self.rule.id

    @property
    def severity(self) -> Severity | None:
        """The severity; None unless the check failed."""
        if self.finding.result is not Result.FAILED:
            return None
        return self.finding.severity or self.rule.severity


@dataclass(frozen=True, slots=True)
class Report:
    """
    All findings.

    Attributes:
        checks: by resource, in the order of kind, namespace and name; within one by rule.
    """

    checks: tuple[tuple[ObjectRef, tuple[Check, ...]], ...]

    @property
    def failed(self) -> bool:
        """Whether a check failed; a warning does not count."""
        return self.count(Severity.ERROR) > 0

    def count(self, what: Severity | Result) -> int:
        """Return the number of checks with a result, or that failed with a severity."""
        found = [check for _, checks in self.checks for check in checks]
        if isinstance(what, Severity):
            return sum(check.severity is what for check in found)
        return sum(check.finding.result is what for check in found)


def examine(
    scope: Scope,
    facts: object,
    *,
    only: Container[str] | None = None,
    without: Container[str] = (),
    unread: frozenset[str] = frozenset(),
    about: ObjectRef | None = None,
) -> Report:
    """
    Apply every rule of a scope.

    Args:
        scope: the scope of the rules.
        facts: their input: `Manifests`, `AddressFacts`, `ClusterFacts` or `MachineFacts`.
        only: apply only these, by id.
        without: leave these out, by id.
        unread: kinds that may not be read: rules that need them are skipped.
        about: the resource of such a skipped check.
    """
    found: dict[ObjectRef, dict[Check, None]] = {}
    for rule in RULES:
        if rule.scope is not scope or (only is not None and rule.id not in only) or rule.id in without:
            continue
        missing = sorted(rule.needs & unread)
        if missing and about is not None:
            findings: Iterable[Finding] = [skipped(about, f"{_and(missing)} may not be read.")]
        else:
            findings = rule.check(facts)
        for finding in findings:
            found.setdefault(finding.resource, {})[Check(rule, finding)] = None
    return Report(tuple((resource, tuple(found[resource])) for resource in sorted(found)))


def joined(*reports: Report) -> Report:
    """Return several reports as one."""
    found: dict[ObjectRef, list[Check]] = {}
    for report in reports:
        for resource, checks in report.checks:
            found.setdefault(resource, []).extend(checks)
    return Report(tuple((resource, tuple(found[resource])) for resource in sorted(found)))


def _and(names: list[str]) -> str:
    return " and ".join(names)
