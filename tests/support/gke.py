"""Made-up readings of a cluster for the tests of ``kiteway gke``."""

from __future__ import annotations

import copy
import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

from kiteway.gke.live import ClusterReading, Release, StaticAddress
from kiteway.gke.options import GkeOptions
from kiteway.gke.values import merged
from kiteway.resources.annotations import NEG_STATUS

HOST = "my-release.milvus.io"
NOW = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)
USER_YAML = """\
# our settings
proxy:
  maxTaskNum: 2048  # more than the default
common:
  security:
    authorizationEnabled: true
"""
DEFAULTS: dict[str, Any] = {
    "cluster": {"enabled": True},
    "service": {"type": "ClusterIP", "port": 19530, "portName": "milvus", "annotations": {}},
    "proxy": {"enabled": True, "replicas": 1, "tls": {"enabled": False}},
    "extraConfigFiles": {"user.yaml": "# nothing yet\n"},
    "ingress": {"enabled": False},
    "volumes": [],
    "volumeMounts": [],
}
VALUES: dict[str, Any] = {
    "image": {"all": {"tag": "v2.6.3"}},
    "service": {"type": "LoadBalancer"},
    "proxy": {"replicas": 2, "volumes": [{"name": "cache", "emptyDir": {}}]},
    "extraConfigFiles": {"user.yaml": USER_YAML},
}


def wanted(**options: Any) -> GkeOptions:
    """Return a wish for the guide's host."""
    return GkeOptions(**{"host": HOST, **options})


def release(values: Mapping[str, Any] = VALUES, **fields: Any) -> Release:
    """Return a release with these values of its own."""
    given = {
        "name": "my-release",
        "namespace": "default",
        "chart": "milvus",
        "version": "5.0.1",
        "revision": 3,
        "status": "deployed",
        "values": copy.deepcopy(dict(values)),
        "effective": merged(DEFAULTS, values),
    }
    return Release(**{**given, **fields})


def deployment(name: str = "my-release-milvus-proxy", container: str = "proxy", replicas: int = 2) -> dict[str, Any]:
    """Return a Deployment whose pods are all new and ready."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default", "generation": 1},
        "spec": {
            "replicas": replicas,
            "template": {
                "spec": {
                    "terminationGracePeriodSeconds": 30,
                    "containers": [{"name": container, "image": "milvusdb/milvus:v2.6.3"}],
                }
            },
        },
        "status": {
            "observedGeneration": 1,
            "replicas": replicas,
            "updatedReplicas": replicas,
            "availableReplicas": replicas,
        },
    }


def with_groups(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return a Service for which Google has made an endpoint group."""
    found = copy.deepcopy(dict(item))
    status = json.dumps({"network_endpoint_groups": {"19530": "k8s1-x"}, "zones": ["europe-west4-a"]})
    found["metadata"]["annotations"] = {NEG_STATUS: status}
    return found


def proxy_pod(*, gate: bool) -> dict[str, Any]:
    """Return a pod, with Google's readiness gate or without."""
    gates = [{"conditionType": "cloud.google.com/load-balancer-neg-ready"}] if gate else []
    return {"kind": "Pod", "metadata": {"name": "proxy"}, "spec": {"readinessGates": gates}}


def service() -> dict[str, Any]:
    """Return the chart's Service behind a Layer-4 balancer."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "my-release-milvus", "namespace": "default"},
        "spec": {"type": "LoadBalancer", "ports": [{"name": "milvus", "port": 19530}]},
        "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.9"}]}},
    }


def live(**fields: Any) -> ClusterReading:
    """Return a reading of the guide's starting point: a cluster behind a Layer-4 balancer."""
    given = {
        "release": release(),
        "service": service(),
        "front": service(),
        "workload": deployment(),
        "static_address": StaticAddress(known=True),
        "helm": (3, 17, 0),
        "at": NOW,
    }
    return ClusterReading(**{**given, **fields})
