"""The guide's objects, with the fields that the guide omits."""

from __future__ import annotations

import base64
import copy
from typing import Any

from kiteway.certificates.create import create_self_signed
from kiteway.gke.live import ClusterReading, Object, dig
from kiteway.gke.names import Names
from kiteway.gke.options import CertificateKind, GkeOptions, Http
from kiteway.resources.annotations import (
    ALLOW_HTTP,
    FRONTEND_CONFIG,
    GLOBAL_STATIC_IP_NAME,
    INGRESS_CLASS,
    MANAGED_CERTIFICATES,
)

MANAGED_BY = {"app.kubernetes.io/managed-by": "kiteway-gke"}
_KINDS = {
    "BackendConfig": "cloud.google.com/v1",
    "FrontendConfig": "networking.gke.io/v1beta1",
    "ManagedCertificate": "networking.gke.io/v1",
    "Ingress": "networking.k8s.io/v1",
    "Secret": "v1",
}


MILVUS_HEALTH = (9091, "/healthz")
KITEWAY_HEALTH = (9102, "/ready")
"""Port and path; Kiteway's chart serves its metrics there."""


def backend_config(wanted: GkeOptions, names: Names, namespace: str) -> dict[str, Any]:
    """
    Return the guide's health check, and the timeout and draining that the guide omits (GKE's defaults: 30 s, 0 s).

    The intervals are explicit: checkIntervalSec must not be below timeoutSec, whose default is 15 s.
    """
    port, path = KITEWAY_HEALTH if wanted.kiteway else MILVUS_HEALTH
    return {
        **_head("BackendConfig", namespace, names.backend_config),
        "spec": {
            "timeoutSec": wanted.timeout_sec,
            "connectionDraining": {"drainingTimeoutSec": wanted.draining_timeout_sec},
            "healthCheck": {
                "type": "HTTP",
                "port": port,
                "requestPath": path,
                "checkIntervalSec": 10,
                "timeoutSec": 5,
                "healthyThreshold": 1,
                "unhealthyThreshold": 3,
            },
        },
    }


def frontend_config(names: Names, namespace: str) -> dict[str, Any]:
    """Return the redirect from port 80 to 443."""
    return {
        **_head("FrontendConfig", namespace, names.frontend_config),
        "spec": {"redirectToHttps": {"enabled": True, "responseCodeName": "MOVED_PERMANENTLY_DEFAULT"}},
    }


def managed_certificate(wanted: GkeOptions, names: Names, namespace: str) -> dict[str, Any]:
    """Return the ManagedCertificate, issued by Google or, on Kiteway's own data plane, by ACME."""
    return {**_head("ManagedCertificate", namespace, names.certificate), "spec": {"domains": [wanted.host]}}


def tls_secret(name: str, namespace: str, host: str) -> dict[str, Any]:
    """Make a new self-signed certificate with its name in the subjectAltName, as a Secret."""
    pair = create_self_signed([host], key_type="RSA")
    return {
        **_head("Secret", namespace, name),
        "type": "kubernetes.io/tls",
        "data": {
            "tls.crt": base64.b64encode(pair.certificate).decode(),
            "tls.key": base64.b64encode(pair.key.reveal()).decode(),
        },
    }


def ingress(live: ClusterReading, wanted: GkeOptions, names: Names) -> dict[str, Any]:
    """Return the Ingress; rules for other hosts in an existing Ingress of this name remain."""
    before = live.get("Ingress", wanted.namespace, names.ingress)
    rule = _rule(wanted, names.kiteway, 443) if wanted.google and wanted.kiteway else _to_milvus(live, wanted, names)
    spec: dict[str, Any] = {"rules": [*_others(before, wanted), rule]}
    if wanted.certificate is CertificateKind.SELF_MANAGED:
        spec["tls"] = [
            *(t for t in dig(before, "spec", "tls") or [] if t.get("secretName") != names.certificate),
            {"hosts": [wanted.host], "secretName": names.certificate},
        ]
    head = _head("Ingress", wanted.namespace, names.ingress)
    head["metadata"]["annotations"] = _ingress_annotations(wanted, names)
    return {**head, "spec": spec}


def route(live: ClusterReading, wanted: GkeOptions, names: Names) -> dict[str, Any]:
    """Return the Ingress of Kiteway's own class, behind Google's."""
    head = _head("Ingress", wanted.namespace, names.route)
    head["metadata"]["annotations"] = {INGRESS_CLASS: names.kiteway_class, ALLOW_HTTP: "false"}
    tls = [{"hosts": [wanted.host], "secretName": names.backend_certificate}]
    return {**head, "spec": {"rules": [_to_milvus(live, wanted, names)], "tls": tls}}


def without_data(secret: Object) -> dict[str, Any]:
    """Return a Secret for showing: its keys without their values."""
    shown = copy.deepcopy(dict(secret))
    shown["data"] = dict.fromkeys(sorted(secret.get("data") or {}), "(not shown)")
    return shown


def _ingress_annotations(wanted: GkeOptions, names: Names) -> dict[str, str]:
    found = {}
    if wanted.google:
        # "gce" and not spec.ingressClassName: GKE has no IngressClass objects and ignores an Ingress that names one.
        found[INGRESS_CLASS] = "gce"
        found[GLOBAL_STATIC_IP_NAME] = names.static_address
    else:
        found[INGRESS_CLASS] = names.kiteway_class
    if wanted.certificate is CertificateKind.GOOGLE_MANAGED:
        found[MANAGED_CERTIFICATES] = names.certificate
    # A redirect needs port 80 open.
    found[ALLOW_HTTP] = "true" if wanted.http is Http.REDIRECT else "false"
    if wanted.http is Http.REDIRECT:
        found[FRONTEND_CONFIG] = names.frontend_config
    return found


def _to_milvus(live: ClusterReading, wanted: GkeOptions, names: Names) -> dict[str, Any]:
    port = dig(live.release.effective if live.release else {}, "service", "port") or 19530
    return _rule(wanted, names.service, int(port))


def _rule(wanted: GkeOptions, service: str, port: int) -> dict[str, Any]:
    backend = {"service": {"name": service, "port": {"number": port}}}
    return {"host": wanted.host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}


def _others(before: Object | None, wanted: GkeOptions) -> list[Any]:
    return [rule for rule in dig(before, "spec", "rules") or [] if rule.get("host") != wanted.host]


def _head(kind: str, namespace: str, name: str) -> dict[str, Any]:
    return {
        "apiVersion": _KINDS[kind],
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "labels": dict(MANAGED_BY)},
    }
