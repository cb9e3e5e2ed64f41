"""What must be there before anything is planned: the programs, the context, the permissions."""

from __future__ import annotations

import asyncio

from kiteway.diagnostics import Diagnostic, Severity
from kiteway.gke.run import CommandError, found, output
from kiteway.gke.shell import Shell
from kiteway.gke.wanted import CertificateKind, DataPlane, Http, Wanted

_READS = ("get",)
_WRITES = ("get", "create", "patch", "delete")


def permissions(wanted: Wanted) -> tuple[tuple[str, str], ...]:
    """Return the verbs and resources that ``apply`` and ``rollback`` use, beside what Helm needs for the chart."""
    found: dict[str, tuple[str, ...]] = {
        "secrets": (*_WRITES, "update", "list"),
        "ingresses.networking.k8s.io": (*_WRITES, "update"),
    }
    if wanted.data_plane is DataPlane.GOOGLE:
        found["pods"] = ("list",)
        found["services"] = ("get", "patch")
        found["configmaps"] = ("get", "patch")
        found["deployments.apps"] = ("get", "patch")
        found["backendconfigs.cloud.google.com"] = (*_WRITES, "update")
    else:
        found["services"] = found["deployments.apps"] = _READS
        found["ingressclasses.networking.k8s.io"] = _READS
    if wanted.certificate is CertificateKind.GOOGLE_MANAGED:
        found["managedcertificates.networking.gke.io"] = (*_WRITES, "update")
    if wanted.http is Http.REDIRECT:
        found["frontendconfigs.networking.gke.io"] = (*_WRITES, "update")
    return tuple((verb, resource) for resource, verbs in sorted(found.items()) for verb in verbs)


async def preflight(wanted: Wanted, shell: Shell) -> tuple[Diagnostic, ...]:
    """Return what is missing; nothing is written."""
    problems = [_missing(program, fix) for program, fix in _PROGRAMS if not found(program)]
    if problems:
        return tuple(problems)
    try:
        await output(shell.kubectl("version", "-o", "json"))
    except CommandError as error:
        message = f"the cluster cannot be asked: {error.output.splitlines()[-1] if error.output else 'no answer'}."
        fix = "Check `kubectl config current-context`, or give --context; on GKE: gcloud container clusters "
        return (Diagnostic(Severity.ERROR, "ClusterUnreachable", message, f"{fix}get-credentials NAME."),)
    served = set((await output(shell.kubectl("api-resources", "-o", "name"))).split())
    asked = permissions(wanted)
    unserved = sorted({resource for _, resource in asked if resource not in served})
    if unserved:
        message = f"this cluster does not serve {', '.join(unserved)}; it is no GKE cluster, or Ingress is off there."
        fix = "Use --data-plane kiteway, whose chart brings what it needs, or turn on HTTP load balancing."
        return (*problems, Diagnostic(Severity.ERROR, "NotGKE", message, fix))
    may = await asyncio.gather(*(_may(shell, wanted.namespace, verb, resource) for verb, resource in asked))
    refused = [f"{verb} {resource}" for (verb, resource), allowed in zip(asked, may, strict=True) if not allowed]
    if refused:
        message = f"you may not, in namespace {wanted.namespace}: {', '.join(refused)}."
        fix = "Ask for a Role with these; docs/reference/gke.md lists them."
        problems.append(Diagnostic(Severity.ERROR, "PermissionDenied", message, fix))
    if wanted.google and not found("gcloud"):
        message = "gcloud is not installed, so the static address is neither looked at nor reserved."
        problems.append(
            Diagnostic(Severity.NOTE, "GcloudMissing", message, "Reserve it in the console, or install it.")
        )
    return tuple(problems)


_PROGRAMS = (
    ("kubectl", "Install it: https://kubernetes.io/docs/tasks/tools/."),
    ("helm", "Install Helm 3.14 or later: https://helm.sh/docs/intro/install/."),
)


def _missing(program: str, fix: str) -> Diagnostic:
    return Diagnostic(Severity.ERROR, "ProgramMissing", f"{program} is not installed.", fix)


async def _may(shell: Shell, namespace: str, verb: str, resource: str) -> bool:
    try:
        await output(shell.kubectl("auth", "can-i", verb, resource, "-n", namespace, "--quiet"))
    except CommandError as error:
        if error.output:  # kubectl exits with 1 and says nothing when the answer is no
            raise
        return False
    return True
