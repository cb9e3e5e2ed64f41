"""Manifests of Kiteway's own class, so that there are no diagnostics about GKE alone."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kiteway.certificates.create import KeyPair
from tests.support.yaml_text import documents

Manifest = Mapping[str, Any]

PORT = 19530


def path(text: str = "/", service: str = "milvus", kind: str = "Prefix") -> Manifest:
    """Return a path of a rule."""
    return {"path": text, "pathType": kind, "backend": backend(service)}


def backend(service: str) -> Manifest:
    """Return a Service's port as a backend."""
    return {"service": {"name": service, "port": {"number": PORT}}}


def rule(host: str | None, *paths: Manifest) -> Manifest:
    """Return a rule; without ``paths`` everything goes to the Service ``milvus``."""
    found: dict[str, Any] = {"http": {"paths": list(paths) or [path()]}}
    return found if host is None else {"host": host, **found}


def ingress(
    *rules: Manifest,
    name: str = "milvus",
    namespace: str = "default",
    tls: Sequence[str] = (),
    default: str | None = None,
    created: str | None = None,
    **annotations: str,
) -> Manifest:
    """Return an Ingress; of ``annotations`` the keys are `allow_http`, `frontend` and `managed`."""
    keys = {
        "allow_http": "kubernetes.io/ingress.allow-http",
        "frontend": "networking.gke.io/v1beta1.FrontendConfig",
        "managed": "networking.gke.io/managed-certificates",
    }
    metadata: dict[str, Any] = {"name": name, "namespace": namespace}
    metadata["annotations"] = {
        "kubernetes.io/ingress.class": "kiteway",
        **{keys[key]: value for key, value in annotations.items()},
    }
    if created is not None:
        metadata["creationTimestamp"] = created
    spec: dict[str, Any] = {"tls": [{"secretName": secret} for secret in tls], "rules": list(rules)}
    if default is not None:
        spec["defaultBackend"] = backend(default)
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec}


def service(
    name: str = "milvus",
    namespace: str = "default",
    *,
    protocol: str | None = None,
    rest_port: int | None = None,
    backend_config: str | None = None,
) -> Manifest:
    """Return a Service with one port; without ``protocol`` it is h2c."""
    annotations: dict[str, str] = {"cloud.google.com/neg": '{"ingress":true}'}
    port: dict[str, Any] = {"name": "milvus", "port": PORT, "targetPort": "milvus"}
    if protocol is None:
        port["appProtocol"] = "kubernetes.io/h2c"
    else:
        annotations["cloud.google.com/app-protocols"] = f'{{"milvus":"{protocol}"}}'
    if rest_port is not None:
        annotations["kiteway.io/rest-port"] = str(rest_port)
    if backend_config is not None:
        annotations["cloud.google.com/backend-config"] = f'{{"default":"{backend_config}"}}'
    metadata = {"name": name, "namespace": namespace, "annotations": annotations}
    spec = {"ports": [port], "selector": {"app": name}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def endpoint_slice(
    addresses: Iterable[str],
    port: int,
    service: str = "milvus",
    namespace: str = "default",
    *,
    draining: Iterable[str] = (),
) -> Manifest:
    """Return the EndpointSlice of a Service; those that are ``draining`` terminate and still serve."""
    leaving = {"ready": False, "serving": True, "terminating": True}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{service}-1",
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": "IPv4",
        "ports": [{"name": "milvus", "port": port}],
        "endpoints": [
            *({"addresses": [address]} for address in addresses),
            *({"addresses": [address], "conditions": leaving} for address in draining),
        ],
    }


def backend_config(name: str = "milvus", namespace: str = "default", **spec: Any) -> Manifest:
    """Return a BackendConfig."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "cloud.google.com/v1", "kind": "BackendConfig", "metadata": metadata, "spec": spec}


def milvus_policy(
    *services: str,
    name: str = "policy",
    namespace: str = "default",
    ingresses: Sequence[str] = (),
    created: str | None = None,
    **spec: Any,
) -> Manifest:
    """Return a MilvusPolicy for Services and Ingresses; ``spec`` is the rest of it."""
    targets = [
        *({"kind": "Service", "name": service} for service in services),
        *({"group": "networking.k8s.io", "kind": "Ingress", "name": ingress} for ingress in ingresses),
    ]
    metadata = {"name": name, "namespace": namespace}
    if created is not None:
        metadata["creationTimestamp"] = created
    return {
        "apiVersion": "kiteway.io/v1alpha1",
        "kind": "MilvusPolicy",
        "metadata": metadata,
        "spec": {"targetRefs": targets, **spec},
    }


def frontend_config(name: str = "milvus", namespace: str = "default", **spec: Any) -> Manifest:
    """Return a FrontendConfig."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "networking.gke.io/v1beta1", "kind": "FrontendConfig", "metadata": metadata, "spec": spec}


def secret(name: str, pair: KeyPair, namespace: str = "default") -> Manifest:
    """Return a TLS Secret."""
    data = {"tls.crt": pair.certificate, "tls.key": pair.key.reveal()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "type": "kubernetes.io/tls",
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
    }


def text(manifests: Iterable[Manifest]) -> bytes:
    """Return manifests as a file."""
    return documents(dict(manifest) for manifest in manifests).encode()
