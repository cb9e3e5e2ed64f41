"""Documents that are no Kubernetes objects but often lie beside them: what they are, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple


class ForeignDocument(NamedTuple):
    """What a document is, as the rest of "it looks like ...", and what to do."""

    what: str
    fix: str


_DOCTOR: Final = "Give it to `kiteway doctor -f` beside the manifests; a balancer is not configured by it."
_CHART = ForeignDocument(
    "a Helm chart's Chart.yaml", "Render the chart: helm template RELEASE CHART | kiteway plan -f -."
)
_VALUES = ForeignDocument("values of the Milvus Helm chart", _DOCTOR)
_BITNAMI = ForeignDocument(
    "values of Bitnami's Milvus chart, which Kiteway does not read",
    "Render the chart: helm template RELEASE oci://registry-1.docker.io/bitnamicharts/milvus -f FILE | kiteway plan -f -.",
)
_MILVUS = ForeignDocument("Milvus's own configuration, milvus.yaml", _DOCTOR)
_COMPOSE = ForeignDocument(
    "a Docker Compose file",
    "Start it, and Kiteway in front of its Milvus: kiteway up --to localhost:19530.",
)
_KUSTOMIZATION = ForeignDocument("a kustomization.yaml", "Render it: kubectl kustomize FOLDER | kiteway plan -f -.")

HELM_KEYS: Final = frozenset(
    {
        "cluster",
        "externalEtcd",
        "externalKafka",
        "externalPulsar",
        "externalS3",
        "extraConfigFiles",
        "image",
        "pulsarv3",
        "service",
        "standalone",
    }
)
"""Keys of the values of milvus-helm that milvus.yaml does not have."""
MILVUS_KEYS: Final = frozenset(
    {
        "common",
        "dataCoord",
        "dataNode",
        "etcd",
        "grpc",
        "localStorage",
        "log",
        "metastore",
        "minio",
        "mq",
        "proxy",
        "queryCoord",
        "quotaAndLimits",
        "rootCoord",
        "tikv",
        "tls",
        "trace",
    }
)
"""Keys of milvus.yaml; some of them have another meaning in the values of milvus-helm."""
MILVUS_ONLY_KEYS: Final = frozenset(
    {
        "common",
        "dataCoord",
        "grpc",
        "localStorage",
        "metastore",
        "queryCoord",
        "quotaAndLimits",
        "rootCoord",
        "tls",
        "trace",
    }
)
"""Those that milvus-helm reads nowhere in its values."""


def is_bitnami(value: Mapping[Any, Any]) -> bool:
    """Return whether a mapping is values of Bitnami's chart, which has components' settings below other keys."""
    milvus, proxy = value.get("milvus"), value.get("proxy")
    if (
        isinstance(milvus, dict)
        and {"auth", "image", "extraConfig", "existingConfigMap", "defaultConfig"} & milvus.keys()
    ):
        return True
    if not isinstance(proxy, dict):
        return False
    tls, service = proxy.get("tls"), proxy.get("service")
    of_bitnami = {"mode", "existingSecret", "keyPassword"}
    return (isinstance(tls, dict) and bool(of_bitnami & tls.keys())) or (
        isinstance(service, dict) and "ports" in service
    )


def foreign_document(value: Mapping[Any, Any]) -> ForeignDocument | None:
    """Return what a document without apiVersion or kind is; None if it is not recognised."""
    keys = value.keys()
    if {"apiVersion", "name", "version"} <= keys:
        return _CHART
    if "apiVersion" in keys or "kind" in keys:
        return None
    if is_bitnami(value):
        return _BITNAMI
    services = value.get("services")
    if isinstance(services, dict) and any(
        isinstance(s, dict) and {"image", "build"} & s.keys() for s in services.values()
    ):
        return _COMPOSE
    if isinstance(value.get("resources"), list) or {"patches", "configMapGenerator", "bases"} & keys:
        return _KUSTOMIZATION
    if HELM_KEYS & keys:
        return _VALUES
    return _MILVUS if MILVUS_KEYS & keys else None
