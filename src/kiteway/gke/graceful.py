"""Fields that let Pods join and leave Google's balancer without losing a call; milvus-helm has no values for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kiteway.gke.live import ClusterReading, Object, annotations_of, dig
from kiteway.gke.options import GkeOptions
from kiteway.gke.rollout import gated
from kiteway.resources.annotations import NEG_STATUS

RESTARTED_FOR = "kiteway.io/endpoint-groups"
"""The annotation on the Pods that names the endpoint groups for which they were restarted, so that it is done once."""
_MARGIN = 5
"""Seconds that a proxy's preStop sleep exceeds the balancer's draining."""
_MILVUS_STOP = 30
"""Milvus's own proxy.gracefulStopTimeout."""


def endpoint_groups(service: Object | None) -> str:
    """Return the names of a Service's network endpoint groups; empty while Google has made none."""
    try:
        status = json.loads(annotations_of(service).get(NEG_STATUS) or "{}")
    except ValueError:
        return ""
    return ",".join(sorted(str(name) for name in (dig(status, "network_endpoint_groups") or {}).values()))


def gates(live: ClusterReading) -> str:
    """Return how many of the pods have Google's readiness gate, as text."""
    return f"{gated(live.pods)} of {len(live.pods)} pods have Google's readiness gate"


def restart(live: ClusterReading) -> dict[str, Any]:
    """
    Return the patch that restarts the pods; empty when all have the gate.

    Google's webhook puts the gate into pods that are created once their Service has an endpoint group, and into no
    others. If the pods get none, the restart is not repeated for these groups.
    """
    if live.pods and gated(live.pods) == len(live.pods):
        return {}
    return {"spec": {"template": {"metadata": {"annotations": {RESTARTED_FOR: endpoint_groups(live.front)}}}}}


def patch(wanted: GkeOptions, container: str) -> dict[str, Any]:
    """
    Return the patch: the pod outlives the balancer's draining, and its successor is there for a while first.

    The NEG loses an endpoint seconds after the pod gets its SIGTERM; until then requests still arrive.
    """
    sleep = wanted.draining_timeout_sec + _MARGIN
    return {
        "spec": {
            "minReadySeconds": 15,
            "template": {
                "spec": {
                    "terminationGracePeriodSeconds": sleep + _MILVUS_STOP + _MARGIN,
                    "containers": [
                        {
                            "name": container,
                            "lifecycle": {"preStop": {"exec": {"command": ["sleep", str(sleep)]}}},
                        }
                    ],
                }
            },
        }
    }


def fields(workload: Object | None, container: str) -> dict[str, Any]:
    """Return a patch that restores the present values of these fields; None deletes a field."""
    spec = dig(workload, "spec") or {}
    pod = dig(spec, "template", "spec") or {}
    found: Mapping[str, Any] = next((c for c in pod.get("containers") or [] if c.get("name") == container), {})
    return {
        "spec": {
            "minReadySeconds": spec.get("minReadySeconds"),
            "template": {
                "metadata": {"annotations": {RESTARTED_FOR: annotations_of(dig(spec, "template")).get(RESTARTED_FOR)}},
                "spec": {
                    "terminationGracePeriodSeconds": pod.get("terminationGracePeriodSeconds"),
                    "containers": [{"name": container, "lifecycle": found.get("lifecycle")}],
                },
            },
        }
    }
