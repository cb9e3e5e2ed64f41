"""Checks before planning: programs, context, permissions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kiteway.diagnostics import Diagnostic, Severity
from kiteway.gke.diff import dump
from kiteway.gke.options import GkeOptions
from kiteway.gke.rights import CLUSTER_WIDE, permissions, split
from kiteway.gke.run import CommandError, found, output
from kiteway.gke.shell import Shell


async def preflight(wanted: GkeOptions, shell: Shell) -> tuple[Diagnostic, ...]:
    """Return what is missing; nothing is written."""
    problems = [_missing(program, fix) for program, fix in _PROGRAMS if not found(program)]
    if problems:
        return tuple(problems)
    try:
        await output(shell.kubectl("version", "-o", "json"))
    except CommandError as error:
        said = error.output.splitlines()[-1].rstrip(" .?") if error.output else "no answer"
        message = f"the API server cannot be reached: {said}."
        fix = "Check `kubectl config current-context`, or give --context; on GKE: gcloud container clusters "
        return (Diagnostic(Severity.ERROR, "ClusterUnreachable", message, f"{fix}get-credentials NAME."),)
    served = set((await output(shell.kubectl("api-resources", "-o", "name"))).split())
    asked = permissions(wanted)
    unserved = sorted({resource for _, resource in asked if "/" not in resource and resource not in served})
    if unserved:
        message = f"this cluster does not serve {', '.join(unserved)}; it is no GKE cluster, or Ingress is off there."
        fix = "Use --data-plane kiteway, whose chart brings what it needs, or turn on HTTP load balancing."
        return (*problems, Diagnostic(Severity.ERROR, "NotGKE", message, fix))
    may = await _may(shell, wanted.namespace, asked)
    refused = [f"{verb} {resource}" for (verb, resource), allowed in zip(asked, may, strict=True) if not allowed]
    if refused:
        message = f"you lack permissions in namespace {wanted.namespace}: {', '.join(refused)}."
        fix = "Ask for a Role with these; docs/reference/gke.md lists them."
        problems.append(Diagnostic(Severity.ERROR, "PermissionDenied", message, fix))
    if wanted.google and not found("gcloud"):
        message = "gcloud is not installed, so the static address is neither checked nor reserved."
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


async def _may(shell: Shell, namespace: str, asked: Sequence[tuple[str, str]]) -> list[bool]:
    """
    Check all rights with one command, as ``kubectl auth can-i`` checks one.

    The API server stores nothing. A list of all rights would be incomplete on GKE, where some come from IAM. Validation is
    off, because kubectl would request the CRDs, which not every user may list.
    """
    reviews = "---\n".join(dump(_review(namespace, verb, resource)) for verb, resource in asked)
    create = ("create", "--validate=false", "-f", "-", "-o", "jsonpath={.status.allowed},")
    command = shell.kubectl(*create, stdin=reviews.encode)
    return [allowed == "true" for allowed in (await output(command)).split(",")[:-1]]


def _review(namespace: str, verb: str, resource: str) -> dict[str, Any]:
    name, subresource, group = split(resource)
    where = {} if name in CLUSTER_WIDE else {"namespace": namespace}
    attributes = {**where, "verb": verb, "group": group, "resource": name, "subresource": subresource}
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
