"""A tenant whose objects use every field; mutations start from it."""

from __future__ import annotations

import random
from typing import Any

from cryptography import x509

from tests.attack.tenant import BAIT, SERVICE, secret, tls_secret
from tests.e2e.traffic import Backend
from tests.support.certificates import Issued, authority, issue

_CLIENTS = authority("Clients")
_HOSTED = issue(f"*.{BAIT}")
_NAMES = (
    "*",
    "*.",
    "*.{}",
    ".{}",
    "a*.{}",
    "*a.{}",
    "a.*.{}",
    "*.*.{}",
    "{}.",
    "A.{}",
    "_a.{}",
    "a..{}",
    "-.{}",
    "a b.{}",
)


def prey(number: int, backend: Backend, chance: random.Random) -> list[dict[str, Any]]:
    """Return the objects of tenant ``number``; some choices between settings that exclude each other are random."""
    namespace, host = f"m{number}", f"m{number}.{BAIT}"
    target = {"service": {"name": SERVICE, "port": {"number": 19530}}}
    protocol = chance.choice(("HTTP", "HTTP2", "HTTPS"))
    return [
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": "milvus", "namespace": namespace, "annotations": _ingress_notes(chance)},
            "spec": {
                "ingressClassName": "kiteway",
                "tls": [{"hosts": [host], "secretName": "tls"}],
                "rules": [
                    {
                        "host": host,
                        "http": {
                            "paths": [
                                {"path": "/", "pathType": "Prefix", "backend": target},
                                {"path": "/a", "pathType": "Exact", "backend": target},
                                {"path": "/b/*", "pathType": "ImplementationSpecific", "backend": target},
                            ]
                        },
                    },
                    {"host": f"*.{host}", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": target}]}},
                ],
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": SERVICE, "namespace": namespace, "annotations": _service_notes(protocol, chance)},
            "spec": {
                "type": "ClusterIP",
                "clusterIP": "10.0.0.1",
                "selector": {"app": "milvus"},
                "ports": [
                    {"name": "milvus", "port": 19530, "targetPort": "milvus", "protocol": "TCP"},
                    {"name": "rest", "port": 8080, "targetPort": 8080, "appProtocol": "kubernetes.io/h2c"},
                ],
            },
        },
        _backend_config(namespace, backend, chance),
        _policy(namespace),
        {
            "apiVersion": "networking.gke.io/v1beta1",
            "kind": "FrontendConfig",
            "metadata": {"name": "front", "namespace": namespace},
            "spec": {"sslPolicy": "modern", "redirectToHttps": {"enabled": True, "responseCodeName": "FOUND"}},
        },
        {
            "apiVersion": "networking.gke.io/v1",
            "kind": "ManagedCertificate",
            "metadata": {"name": "managed", "namespace": namespace},
            "spec": {"domains": [host]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "milvus-1",
                "namespace": namespace,
                "labels": {"kubernetes.io/service-name": SERVICE},
            },
            "addressType": "IPv4",
            "ports": [{"name": "milvus", "port": backend.port, "protocol": "TCP"}, {"name": "rest", "port": 8080}],
            "endpoints": [
                {"addresses": ["127.0.0.1"], "conditions": {"ready": True, "serving": True, "terminating": False}},
                {"addresses": ["127.0.0.2"], "conditions": {"ready": False, "serving": True, "terminating": True}},
            ],
        },
        dict(tls_secret("tls", namespace, _certificate(host, chance))),
        dict(secret("clients", namespace, **{"ca.crt": _CLIENTS.crt})),
    ]


def _ingress_notes(chance: random.Random) -> dict[str, str]:
    notes = {
        "kubernetes.io/ingress.allow-http": chance.choice(("true", "false")),
        "networking.gke.io/v1beta1.FrontendConfig": "front",
    }
    if chance.random() < 0.5:
        notes |= {"kiteway.io/client-ca-secret": "clients", "kiteway.io/client-certificate": "optional"}
    if chance.random() < 0.2:
        notes["networking.gke.io/managed-certificates"] = "managed"
    return notes


def _service_notes(protocol: str, chance: random.Random) -> dict[str, str]:
    notes = {
        "cloud.google.com/neg": '{"ingress": true}',
        "cloud.google.com/app-protocols": f'{{"milvus": "{protocol}"}}',
        "cloud.google.com/backend-config": f'{{"default": "{SERVICE}", "ports": {{"19530": "{SERVICE}"}}}}',
        "kiteway.io/rest-port": "rest",
    }
    if chance.random() < 0.5:
        notes |= {
            "kiteway.io/backend-ca-secret": "clients",
            "kiteway.io/backend-server-name": "milvus.internal",
            "kiteway.io/backend-client-certificate-secret": "tls",
        }
    return notes


def _policy(namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "kiteway.io/v1alpha1",
        "kind": "MilvusPolicy",
        "metadata": {"name": "policy", "namespace": namespace},
        "spec": {
            "targetRefs": [{"group": "", "kind": "Service", "name": SERVICE}],
            "limits": [
                {"by": ["user"], "requestsPerSecond": 100_000, "burst": "2s", "names": ["batch"]},
                {"by": ["database", "collection"], "rowsPerSecond": 10**9, "bytesPerSecond": "1Ti", "inFlight": 10_000},
            ],
            "admission": {
                "maxConcurrentReads": 10_000,
                "maxConcurrentWrites": 10_000,
                "maxWait": "1s",
                "maxQueuedBytes": "64Mi",
            },
            "hedging": {"delay": "200ms"},
            "allowReplication": True,
            "cache": {
                "enabled": True,
                "stalenessBound": "5s",
                "eventualBound": "30s",
                "fillLag": "1s",
                "maxWait": "3s",
                "memory": "8Mi",
                "maxEntryBytes": "1Mi",
                "collections": [
                    {"collection": "audit", "enabled": False},
                    {"database": "shop", "collection": "goods", "stalenessBound": "1s", "eventualBound": "10s"},
                ],
            },
        },
    }


def _backend_config(namespace: str, backend: Backend, chance: random.Random) -> dict[str, Any]:
    return {
        "apiVersion": "cloud.google.com/v1",
        "kind": "BackendConfig",
        "metadata": {"name": SERVICE, "namespace": namespace},
        "spec": {
            "timeoutSec": 40,
            "connectionDraining": {"drainingTimeoutSec": 60},
            "sessionAffinity": {
                "affinityType": chance.choice(("NONE", "CLIENT_IP", "GENERATED_COOKIE")),
                "affinityCookieTtlSec": 50,
            },
            "customRequestHeaders": {"headers": ["x-client:{client_ip_address}", "x-region:{client_region}"]},
            "customResponseHeaders": {"headers": ["x-served-by:kiteway", "x-tls:{tls_version}"]},
            "healthCheck": {
                "checkIntervalSec": 2,
                "timeoutSec": 1,
                "healthyThreshold": 1,
                "unhealthyThreshold": 3,
                "type": "HTTP",
                "port": backend.health_port,
                "requestPath": "/healthz",
            },
            "logging": {"enable": True, "sampleRate": 0.5},
        },
    }


def _certificate(host: str, chance: random.Random) -> Issued:
    """Return the one that all tenants share, or sometimes one with names that a certificate should not have."""
    if chance.random() < 0.7:
        return _HOSTED
    names = [name.format(host) for name in chance.sample(_NAMES, chance.randrange(1, 4))]
    return issue(host, *names, cn="") if all(map(_encodes, names)) else _HOSTED


def _encodes(name: str) -> bool:
    try:
        x509.DNSName(name)
    except ValueError:
        return False
    return True
