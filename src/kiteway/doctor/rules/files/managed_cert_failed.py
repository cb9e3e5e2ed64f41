"""ManagedCertificates whose status, as the cluster wrote it, says that a name is refused."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import Severity
from kiteway.doctor.managed import fixes, in_words, refused
from kiteway.doctor.manifests import Manifests
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed
from kiteway.resources import ManagedCertificate


def _check(manifests: Manifests) -> Iterator[Finding]:
    for managed in manifests.of(ManagedCertificate):
        status, domains = managed.status.certificate_status, refused(managed.status.domain_status)
        if not domains and "Failed" not in status:
            yield passed(managed.ref, f"its status is {status}." if status else "it has no status yet.")
            continue
        why = f": {'; '.join(map(in_words, domains))}" if domains else ""
        yield failed(
            managed.ref,
            f"its status is {status or 'not set'}{why}.",
            " ".join(fixes(domains)) or "Look at its Events: `kubectl describe managedcertificate`.",
            position=managed.at("status"),
        )


RULE = Rule(
    "MANAGED_CERT_FAILED",
    "The status of a ManagedCertificate",
    "The controller, Google's or Kiteway, writes for each name why there is no certificate; `kubectl get` shows only that "
    "it is not Active.",
    Scope.FILES,
    _check,
    Severity.ERROR,
)
