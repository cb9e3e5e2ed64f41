"""The same as files, for those whose cluster is changed by a repository."""

from __future__ import annotations

from pathlib import Path

from kiteway.files import write_atomic
from kiteway.gke import graceful, objects
from kiteway.gke.diff import dump
from kiteway.gke.live import Live, Release
from kiteway.gke.names import names
from kiteway.gke.values import overlay
from kiteway.gke.wanted import CertificateKind, DataPlane, Http, Wanted


def emitted(live: Live, release: Release, wanted: Wanted) -> dict[str, str]:
    """
    Return the files' texts by name; no key is among them.

    Raises:
        UserYamlError: the user's part of milvus.yaml cannot be read.
    """
    called = names(live, release, wanted)
    items = []
    if wanted.data_plane is DataPlane.GOOGLE:
        items.append(objects.backend_config(wanted, called, wanted.namespace))
    if wanted.http is Http.REDIRECT:
        items.append(objects.frontend_config(called, wanted.namespace))
    if wanted.certificate is CertificateKind.GOOGLE_MANAGED:
        items.append(objects.managed_certificate(wanted, called, wanted.namespace))
    items.append(objects.ingress(live, wanted, called))
    files = {f"{item['kind'].lower()}.yaml": dump(item) for item in items}
    over = overlay(release, wanted, called)
    if over:
        files["values.yaml"] = dump(over)
        patch = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": called.workload, "namespace": wanted.namespace},
            **graceful.patch(wanted, called.container),
        }
        files["deployment-patch.yaml"] = dump(patch)
    files["README.md"] = _readme(wanted, called.certificate, called.backend_certificate, upgrade=bool(over))
    return files


def emit(folder: Path, files: dict[str, str]) -> None:
    """
    Write the files.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        write_atomic(folder / name, text.encode())


def _readme(wanted: Wanted, certificate: str, backend: str, *, upgrade: bool) -> str:
    secrets = [certificate] if wanted.certificate is CertificateKind.SELF_MANAGED else []
    secrets += [backend] if upgrade else []
    lines = [f"# Layer-7 balancer for {wanted.host}", "", "In this order:", ""]
    lines += [
        f"- Secret `{name}`: `kiteway cert create --host {wanted.host} --namespace {wanted.namespace} --secret {name} "
        "| kubectl apply -f -` (keys belong in no repository)"
        for name in secrets
    ]
    if upgrade:
        lines.append("- `kubectl apply -f backendconfig.yaml`")
        lines.append(
            f"- `helm upgrade {wanted.release} {wanted.chart} -n {wanted.namespace} --reset-then-reuse-values "
            "-f values.yaml`: interrupts every plaintext client"
        )
    lines.append("- `kubectl apply -f` the other objects, the Ingress and the certificate together")
    if upgrade:
        lines.append("- the Deployment's fields in deployment-patch.yaml, for which the chart has no values")
    return "\n".join(lines) + "\n"
