"""All other problems in the manifests."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import Severity
from kiteway.doctor.by_diagnostics import from_diagnostic
from kiteway.doctor.manifests import Manifests
from kiteway.doctor.rule import Finding, Rule, Scope


def _check(manifests: Manifests) -> Iterator[Finding]:
    # The registry imports this module.
    from kiteway.doctor.registry import RULES

    named = frozenset().union(*(rule.reasons for rule in RULES))
    for diagnostic in manifests.diagnostics:
        if diagnostic.reason not in named and diagnostic.severity is not Severity.NOTE:
            yield from_diagnostic(diagnostic)


RULE = Rule(
    "MANIFEST_ERRORS",
    "Everything else that `kiteway plan` reports",
    "Problems without a rule of their own: fields that do not exist, values that are refused, files that cannot be read. The "
    "reference of diagnostics explains each reason.",
    Scope.FILES,
    _check,
)
