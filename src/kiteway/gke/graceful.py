"""How proxies leave without losing a call: the fields of the Deployment that the chart has no values for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kiteway.gke.live import Object, dig
from kiteway.gke.wanted import Wanted

_MARGIN = 5
"""Seconds a proxy sleeps longer than the balancer drains."""
_MILVUS_STOP = 30
"""Milvus's own proxy.gracefulStopTimeout."""


def patch(wanted: Wanted, container: str) -> dict[str, Any]:
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
    """Return the same fields as they are, as a patch that brings them back; None deletes."""
    spec = dig(workload, "spec") or {}
    pod = dig(spec, "template", "spec") or {}
    found: Mapping[str, Any] = next((c for c in pod.get("containers") or [] if c.get("name") == container), {})
    return {
        "spec": {
            "minReadySeconds": spec.get("minReadySeconds"),
            "template": {
                "spec": {
                    "terminationGracePeriodSeconds": pod.get("terminationGracePeriodSeconds"),
                    "containers": [{"name": container, "lifecycle": found.get("lifecycle")}],
                }
            },
        }
    }
