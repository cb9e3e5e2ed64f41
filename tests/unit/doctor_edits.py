"""Edits of the manifests in `doctor_manifests.py` for the cases of doctor's rules."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable

from tests.unit.doctor_manifests import (
    ALLOW_HTTP,
    APP_PROTOCOLS,
    FRONTEND_CONFIG,
    HOST,
    INGRESS_CLASS,
    MANAGED,
    NEG,
    Files,
    key_pair,
)

Edit = Callable[[Files], object]


@dataclasses.dataclass(frozen=True)
class Case:
    """A rule, an edit that makes it fire with these words, and one that nearly does."""

    rule: str
    fires: Edit
    words: str
    near_miss: Edit


def tls(mode: object, **http: object) -> Edit:
    """Set tlsMode and proxy.http of Milvus."""

    def edit(files: Files) -> None:
        files.user["common"]["security"]["tlsMode"] = mode
        files.user["proxy"]["http"] = http

    return edit


def proxy(*settings: tuple[str, object]) -> Edit:
    """Add settings of Milvus's proxy."""
    return lambda files: files.user["proxy"].update(settings)


def security(**settings: object) -> Edit:
    """Add settings of Milvus's common.security."""
    return lambda files: files.user["common"]["security"].update(settings)


def health(**changes: object) -> Edit:
    """Change the BackendConfig's health check."""
    return lambda files: files.config["spec"]["healthCheck"].update(changes)


def annotate(key: str, value: str) -> Edit:
    """Annotate the Ingress."""
    return lambda files: files.annotations.update({key: value})


def annotate_service(key: str, value: str) -> Edit:
    """Annotate the Service."""
    return lambda files: files.service_annotations.update({key: value})


def policy(service: str) -> Edit:
    """Add a MilvusPolicy for a Service."""
    spec = {"targetRefs": [{"kind": "Service", "name": service}], "hedging": {"delay": "200ms"}}
    return lambda files: files.add("kiteway.io/v1alpha1", "MilvusPolicy", "policy", spec=spec)


def redirect(files: Files) -> None:
    """Add a FrontendConfig that redirects to HTTPS."""
    files.annotations[FRONTEND_CONFIG] = "redirect"
    files.add("networking.gke.io/v1beta1", "FrontendConfig", "redirect", spec={"redirectToHttps": {"enabled": True}})


def open_and_redirected(files: Files) -> None:
    """Serve port 80, where everything is redirected to HTTPS."""
    redirect(files)
    del files.annotations[ALLOW_HTTP]


def managed_with(status: str, of_domain: str) -> Edit:
    """Add a ManagedCertificate with the status that a controller wrote."""

    def edit(files: Files) -> None:
        written = {"certificateStatus": status, "domainStatus": [{"domain": HOST, "status": of_domain}]}
        spec = {"domains": [HOST]}
        files.add("networking.gke.io/v1", "ManagedCertificate", "managed", spec=spec, status=written)

    return edit


def managed(name: str) -> Edit:
    """Name the ManagedCertificate `managed` at the Ingress, and add one that is called `name`."""

    def edit(files: Files) -> None:
        files.annotations[MANAGED] = "managed"
        files.add("networking.gke.io/v1", "ManagedCertificate", name, spec={"domains": [HOST]})

    return edit


def secrets(count: int) -> Edit:
    """Have `count` TLS Secrets in all."""

    def edit(files: Files) -> None:
        for number in range(count - 1):
            files.add("v1", "Secret", f"tls{number}", data=files.secret["data"])
            files.ingress["spec"]["tls"].append({"secretName": f"tls{number}"})

    return edit


def second_ingress(host: str) -> Edit:
    """Add an Ingress with a host."""

    def edit(files: Files) -> None:
        other = copy.deepcopy(files.ingress)
        other["metadata"]["name"] = "other"
        other["spec"]["rules"][0]["host"] = host
        files.extra.append(other)

    return edit


def second_rule(host: str) -> Edit:
    """Add a rule with a host to the Ingress."""
    return lambda files: files.ingress["spec"]["rules"].append({**files.rule, "host": host})


def internal(neg: bool, frontend: bool) -> Edit:  # noqa: FBT001
    """Make the Ingress internal, with NEGs and a FrontendConfig or without."""

    def edit(files: Files) -> None:
        files.annotations[INGRESS_CLASS] = "gce-internal"
        if not neg:
            del files.service_annotations[NEG]
        if frontend:
            redirect(files)

    return edit


def renamed_port(files: Files) -> None:
    """Name the Service's port `grpc`."""
    files.service["spec"]["ports"][0]["name"] = "grpc"
    files.service_annotations[APP_PROTOCOLS] = '{"grpc":"HTTP2"}'


def operator(protocols: str) -> Edit:
    """Add a Milvus of the operator, whose proxy's Service has these app-protocols."""
    annotations = {"serviceAnnotations": {APP_PROTOCOLS: protocols}}
    config = {"common": {"security": {"tlsMode": 1}}, "proxy": {"http": {"port": 8080}}}
    spec = {"config": config, "components": {"proxy": annotations}}
    return lambda files: files.add("milvus.io/v1beta1", "Milvus", "my-release", spec=spec)


def both_certificates(reverse: bool) -> Edit:  # noqa: FBT001
    """Serve a chain of two unrelated certificates."""

    def edit(files: Files) -> None:
        certificate, key = key_pair(HOST)
        other, _ = key_pair("other.milvus.io")
        files.serve(other + certificate if reverse else certificate, key)

    return edit
