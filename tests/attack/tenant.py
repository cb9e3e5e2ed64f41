"""The manifests of tenants: each has a namespace, a Service, and its own file in Kiteway's folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.e2e.traffic import Backend
from tests.support import manifests
from tests.support.certificates import Issued
from tests.support.manifests import Manifest

VICTIM = "victim"
ATTACKER = "attacker"
"""Sorts before the victim: objects in files have no age, so its Ingresses count as the older ones."""
DOMAIN = "victim.example"
BAIT = "attacker.example"
SERVICE = "milvus"


def tls_secret(name: str, namespace: str, issued: Issued) -> Manifest:
    """Return a TLS Secret."""
    return secret(name, namespace, **{"tls.crt": issued.crt, "tls.key": issued.pem})


def secret(name: str, namespace: str, **values: bytes) -> Manifest:
    """Return a Secret with ``values``."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "stringData": {key: value.decode() for key, value in values.items()},
    }


def ingress(
    namespace: str,
    hosts: Sequence[str | None],
    *,
    name: str = "milvus",
    tls: Sequence[str] = (),
    paths: Sequence[Manifest] = (),
    annotations: Mapping[str, str] | None = None,
) -> Manifest:
    """Return an Ingress with the same ``paths`` on each host; without any, everything goes to the Service."""
    made = manifests.ingress(*(manifests.rule(host, *paths) for host in hosts), name=name, namespace=namespace, tls=tls)
    closed = {"kubernetes.io/ingress.allow-http": "false"} if tls else {}
    return merged(made, {"metadata": {"annotations": {**closed, **(annotations or {})}}})


def tenant(namespace: str, backend: Backend, spec: Mapping[str, Any] | None = None) -> list[Manifest]:
    """Return a Service, its EndpointSlice and its BackendConfig, with ``spec`` in that one."""
    check = {"type": "HTTP", "port": backend.health_port, "requestPath": "/healthz"}
    check = {"healthCheck": {**check, "checkIntervalSec": 1, "timeoutSec": 1}}
    return [
        manifests.service(SERVICE, namespace, backend_config=SERVICE),
        manifests.endpoint_slice(["127.0.0.1"], backend.port, SERVICE, namespace),
        manifests.backend_config(SERVICE, namespace, **merged(check, spec or {})),
    ]


def cache(namespace: str) -> Manifest:
    """Return a MilvusPolicy that turns the cache of a tenant on."""
    spec = {"targetRefs": [{"kind": "Service", "name": SERVICE}], "cache": {"enabled": True}}
    metadata = {"name": "cache", "namespace": namespace}
    return {"apiVersion": "kiteway.io/v1alpha1", "kind": "MilvusPolicy", "metadata": metadata, "spec": spec}


def merged(one: Manifest, other: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``one`` with the values of ``other``; mappings are merged."""
    found = dict(one)
    for key, value in other.items():
        both = isinstance(value, Mapping) and isinstance(found.get(key), Mapping)
        found[key] = merged(found[key], value) if both else value
    return found


def text(objects: Sequence[Manifest]) -> bytes:
    """Return objects as one JSON file, which is written and read faster than YAML."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}).encode()
