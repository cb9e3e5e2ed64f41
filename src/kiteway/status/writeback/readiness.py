"""Sets the readiness gate of Pods whose endpoints are healthy in Envoy."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import structlog

from kiteway.kubernetes.api import Api, ApiError
from kiteway.kubernetes.paths import collection
from kiteway.sources.kubernetes.gate import CONDITION, Gate, GatedPod

_log = structlog.get_logger(__name__)

TIMEOUT_SECONDS: Final = 600.0
"""Seconds after which the gate of a Pod is set in any case, as with NEGs: the load balancer must not block a rollout."""

_READY: Final = ("LoadBalancerNegReady", "The load balancer sees the Pod healthy.")
_TIMED_OUT: Final = ("LoadBalancerNegTimeout", "The load balancer did not see the Pod healthy within ten minutes.")


def due(gate: Gate, healthy: Mapping[str, bool], now: float) -> Iterator[tuple[tuple[str, str], GatedPod, str, str]]:
    """
    Yield the Pods whose gate is to be set now, with the reason and a sentence.

    Args:
        gate: the Pods.
        healthy: by IP address, whether each endpoint there is healthy in Envoy.
        now: monotonic seconds.
    """
    for name, pod in gate.pods.items():
        if pod.running and not pod.open:
            if healthy.get(pod.address):
                yield name, pod, *_READY
            elif now > pod.since + TIMEOUT_SECONDS:
                yield name, pod, *_TIMED_OUT


async def open_gates(api: Api, gate: Gate, healthy: Mapping[str, bool]) -> None:
    """Set the condition of each Pod that `due` yields. Raises `ApiUnavailableError`; other errors are logged."""
    for (namespace, name), pod, reason, message in list(due(gate, healthy, time.monotonic())):
        condition = {
            "type": CONDITION,
            "status": "True",
            "reason": reason,
            "message": message,
            "lastTransitionTime": dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        body: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "uid": pod.uid},
            "status": {"conditions": [condition]},
        }
        try:
            await api.apply(f"{collection('v1', 'pods', namespace)}/{name}/status", body)
        except ApiError as error:
            if error.status not in {404, 409}:  # deleted, or created again
                _log.warning("gate refused", pod=f"{namespace}/{name}", error=str(error))
        else:
            _log.info("gate", pod=f"{namespace}/{name}", reason=reason)
