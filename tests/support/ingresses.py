"""Manifests for tests about certificates: as many Ingresses, hosts and Secrets as a test needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.support import yaml_text
from tests.support.certificates import Issued

SERVICE = "milvus"
PORT = 19530


def secret(
    name: str, issued: Issued | tuple[bytes, bytes], namespace: str = "default", **more: bytes
) -> dict[str, Any]:
    """Return a TLS Secret; ``more`` are further values, ``ca_crt`` for ``ca.crt``."""
    chain, key = (issued.crt, issued.pem) if isinstance(issued, Issued) else issued
    values = {"tls.crt": chain, "tls.key": key, **{k.replace("_", "."): v for k, v in more.items()}}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "stringData": {key: value.decode() for key, value in values.items()},
    }


def service(
    namespace: str = "default",
    annotations: Mapping[str, str] | None = None,
    name: str = SERVICE,
) -> dict[str, Any]:
    """Return a Service whose endpoints speak TLS with HTTP/2."""
    notes = {
        "cloud.google.com/app-protocols": '{"milvus": "HTTP2"}',
        "cloud.google.com/neg": '{"ingress": true}',
        **(annotations or {}),
    }
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "annotations": notes},
        "spec": {"type": "ClusterIP", "ports": [{"name": "milvus", "port": PORT, "targetPort": PORT}]},
    }


def ingress(
    name: str,
    hosts: Sequence[str | None],
    secrets: Sequence[str],
    namespace: str = "default",
    *,
    annotations: Mapping[str, str] | None = None,
    created: str = "2026-01-01T00:00:00Z",
    service: str = SERVICE,
) -> dict[str, Any]:
    """Return an Ingress of Kiteway's class; a host of None is every host."""
    backend = {"service": {"name": service, "port": {"number": PORT}}}
    notes = {"kubernetes.io/ingress.allow-http": "false", **(annotations or {})}
    rules = []
    for host in hosts:
        rule: dict[str, Any] = {"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
        rules.append(rule if host is None else {"host": host, **rule})
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "namespace": namespace, "annotations": notes, "creationTimestamp": created},
        "spec": {"ingressClassName": "kiteway", "tls": [{"secretName": s} for s in secrets], "rules": rules},
    }


def text(*documents: Mapping[str, Any]) -> bytes:
    """Return manifests as one file."""
    return yaml_text.documents(dict(d) for d in documents).encode()
