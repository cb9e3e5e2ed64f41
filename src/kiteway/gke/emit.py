"""Writes the plan as files, for clusters that are managed from a repository."""

from __future__ import annotations

from pathlib import Path

from kiteway.files import write_atomic
from kiteway.gke import graceful, kiteway, objects
from kiteway.gke.diff import dump
from kiteway.gke.live import ClusterReading, Release
from kiteway.gke.names import Names, names
from kiteway.gke.options import CertificateKind, GkeOptions, Http
from kiteway.gke.values import overlay


def emitted(live: ClusterReading, release: Release, wanted: GkeOptions) -> dict[str, str]:
    """
    Return the files' texts by name; no private key is among them.

    Raises:
        UserYamlError: the user's part of milvus.yaml cannot be read.
    """
    called = names(live, release, wanted)
    items = {"ingress.yaml": objects.ingress(live, wanted, called)}
    if wanted.google:
        items["backendconfig.yaml"] = objects.backend_config(wanted, called, wanted.namespace)
    if wanted.http is Http.REDIRECT:
        items["frontendconfig.yaml"] = objects.frontend_config(called, wanted.namespace)
    if wanted.certificate is CertificateKind.GOOGLE_MANAGED:
        items["managedcertificate.yaml"] = objects.managed_certificate(wanted, called, wanted.namespace)
    if wanted.kiteway:
        items["kiteway-values.yaml"] = kiteway.values(wanted, called)
        if wanted.google:
            items["kiteway-ingress.yaml"] = objects.route(live, wanted, called)
    else:
        items["values.yaml"] = overlay(release, wanted, called)
        items["deployment-patch.yaml"] = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": called.workload, "namespace": wanted.namespace},
            **graceful.patch(wanted, called.container),
        }
    return {name: dump(item) for name, item in items.items()} | {
        "README.md": _readme(release, wanted, called, set(items))
    }


def emit(folder: Path, files: dict[str, str]) -> None:
    """
    Write the files.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        write_atomic(folder / name, text.encode())


def _readme(release: Release, wanted: GkeOptions, called: Names, files: set[str]) -> str:
    """Return the README: what to do with the files, in order."""
    where = f"-n {wanted.namespace}"
    repo = f" --repo {wanted.repo}" if wanted.repo else ""
    steps = []
    if wanted.google:
        static = f"gcloud compute addresses create {called.static_address} --global --ip-version=IPV4"
        steps.append(f"Reserve the address: `{static}`")
    secrets = [called.certificate] if wanted.certificate is CertificateKind.SELF_MANAGED else []
    secrets += [called.backend_certificate] if wanted.google else []
    steps += [
        f"Make the Secret {name}, as keys belong in no repository: `kiteway cert create --host {wanted.host} "
        f"--namespace {wanted.namespace} --secret {name} | kubectl apply -f -`"
        for name in secrets
    ]
    if wanted.google:
        steps.append("`kubectl apply -f backendconfig.yaml`, before a Service names it")
    if wanted.kiteway:
        install = f"helm upgrade --install {called.kiteway} {kiteway.chart(wanted)} -n {called.kiteway_namespace}"
        made = " --skip-crds" if wanted.google else " --create-namespace"
        steps.append(f"Install Kiteway: `{install}{made} -f kiteway-values.yaml`")
    else:
        steps.append(
            f"`helm upgrade {wanted.release} {wanted.chart}{repo} --version {release.version} {where} "
            "--reset-then-reuse-values -f values.yaml`: "
            "from now on Milvus speaks TLS, **and every plaintext client is cut off**"
        )
    together = sorted(files & {"kiteway-ingress.yaml", "managedcertificate.yaml", "frontendconfig.yaml"})
    listed = " ".join(f"-f {name}" for name in [*together, "ingress.yaml"])
    steps.append(f"`kubectl apply {listed}`, in one go: a managed certificate never becomes Active without its Ingress")
    if wanted.google:
        steps.append(
            "Wait until the Service has the annotation cloud.google.com/neg-status, then "
            + (
                f"`kubectl rollout restart deployment/{called.kiteway} {where}`"
                if wanted.kiteway
                else f"`kubectl patch deployment {called.workload} {where} --patch-file deployment-patch.yaml`"
            )
            + ": Google's readiness gate comes only into Pods that are created after that"
        )
    steps.append(
        f"Let the DNS name {wanted.host} lead to the Ingress's address, and verify: `kiteway verify {wanted.host}`"
    )
    lines = [f"# Layer-7 balancer for {wanted.host}", "", "In this order:", ""]
    return "\n".join([*lines, *(f"{number}. {text}." for number, text in enumerate(steps, 1))]) + "\n"
