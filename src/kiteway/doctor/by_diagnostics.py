"""Rules made from diagnostics of the translation."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import Diagnostic, ObjectRef, Severity
from kiteway.doctor.manifests import Manifests
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed
from kiteway.resources import Object


def rule_of_reasons(
    id_: str,
    *,
    title: str,
    why: str,
    reasons: frozenset[str],
    kinds: tuple[type[Object], ...],
    when_passed: str,
    severity: Severity = Severity.ERROR,
    needs: frozenset[str] = frozenset(),
) -> Rule[Manifests]:
    """
    Return a rule that fails for every diagnostic with one of ``reasons``.

    Args:
        id_: see `Rule`.
        title: see `Rule`.
        why: see `Rule`.
        reasons: see `Rule`.
        kinds: the judged kinds: an object of these without such a diagnostic passes.
        when_passed: the sentence for those.
        severity: for the reference; a finding has the severity of its diagnostic.
        needs: see `Rule`.
    """

    def check(manifests: Manifests) -> Iterator[Finding]:
        about: set[ObjectRef] = set()
        for diagnostic in manifests.diagnostics:
            if diagnostic.reason in reasons:
                finding = from_diagnostic(diagnostic)
                about.add(finding.resource)
                yield finding
        for kind in kinds:
            for object_ in manifests.judged(kind):
                if object_.ref not in about:
                    yield passed(object_.ref, when_passed)

    return Rule(id_, title, why, Scope.FILES, check, severity, reasons, needs)


def from_diagnostic(diagnostic: Diagnostic) -> Finding:
    """Return a failed check with the text of a diagnostic."""
    file = diagnostic.position.file if diagnostic.position else ""
    resource = diagnostic.object or (ObjectRef("File", "", file) if file else ObjectRef("Files", "", "given with -f"))
    field = f"{diagnostic.path}: " if diagnostic.path else ""
    return failed(
        resource,
        f"{field}{diagnostic.message}",
        diagnostic.fix,
        severity=diagnostic.severity,
        position=diagnostic.position,
        reason=diagnostic.reason,
    )
