"""Objects that no rule looks at."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import Severity
from kiteway.doctor.by_diagnostics import from_diagnostic
from kiteway.doctor.manifests import Manifests
from kiteway.doctor.rule import Finding, Rule, Scope, skipped

_REASONS = frozenset({"NothingRead", "NothingServed", "KindNotServed", "SubfoldersNotRead"})


def _check(manifests: Manifests) -> Iterator[Finding]:
    for ref, why in manifests.left_out():
        yield skipped(ref, f"{why}: no rule looked at it.")
    for diagnostic in manifests.diagnostics:
        if diagnostic.reason in _REASONS:
            yield from_diagnostic(diagnostic)


RULE = Rule(
    "LEFT_OUT",
    "Objects that no rule looks at",
    "An Ingress of another class, a Service that no Ingress leads to, a kind that Kiteway does not read and files in "
    "subfolders (without -R) are not judged: that no mistake was found in them says nothing.",
    Scope.FILES,
    _check,
    Severity.WARNING,
    _REASONS,
)
