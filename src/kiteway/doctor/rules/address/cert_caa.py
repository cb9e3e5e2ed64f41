"""Whether CAA records allow a CA to issue certificates."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import Severity
from kiteway.doctor.address import AddressFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed, skipped

_ISSUERS = {"letsencrypt.org", "pki.goog"}
"""The CAs that issue managed certificates."""


def _check(facts: AddressFacts) -> Iterator[Finding]:
    caa = facts.caa
    if caa.problem:
        yield skipped(facts.ref, caa.problem)
    elif not caa.name:
        yield passed(facts.ref, "no CAA record restricts which CAs may issue a certificate.")
    elif _ISSUERS & set(caa.issuers):
        allowed = ", ".join(sorted(_ISSUERS & set(caa.issuers)))
        yield passed(facts.ref, f"the CAA records of {caa.name} allow {allowed}.")
    else:
        named = ", ".join(issuer or "nobody" for issuer in caa.issuers) or "nobody"
        yield failed(
            facts.ref,
            f"the CAA records of {caa.name} allow {named}, so no managed certificate can be issued.",
            'Add the record 0 issue "letsencrypt.org" (and "pki.goog" for GKE).',
        )


RULE = Rule(
    "CERT_CAA",
    "CAA records",
    "A CAA record that names neither Let's Encrypt nor Google leaves a managed certificate in FailedCaaForbidden "
    "(failure F10). A certificate of your own is not affected.",
    Scope.ADDRESS,
    _check,
    Severity.WARNING,
)
