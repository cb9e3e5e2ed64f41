"""
Pods that wait for the load balancer: the readiness gate ``kiteway.io/load-balancer-ready``.

Until the gate's condition is True, such a Pod is not Ready, so its Service has no ready endpoint for it. Kiteway treats it
as a ready endpoint before that, because otherwise Envoy could not check its health. GKE's NEGs do the same with
cloud.google.com/load-balancer-neg-ready.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from kiteway.resources import EndpointSlice
from kiteway.resources.kinds.endpoint_slice import Endpoint

CONDITION: Final = "kiteway.io/load-balancer-ready"

Name = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True, slots=True)
class GatedPod:
    """
    A Pod with the gate.

    Attributes:
        uid: its identity.
        address: its address; empty until it has one.
        running: whether its containers are ready.
        open: whether the gate's condition is True.
        since: when it was first seen with ready containers (monotonic seconds).
    """

    uid: str
    address: str
    running: bool
    open: bool
    since: float


class Gate:
    """The Pods with the gate; the sink of a reflector of Pods."""

    def __init__(self, notify: Callable[[Name], None]) -> None:
        """Call ``notify`` with a Pod whose containers became ready or stopped being ready."""
        self.pods: dict[Name, GatedPod] = {}
        self._notify = notify

    def replace(self, objects: Iterable[dict[str, Any]]) -> None:
        """Take all Pods."""
        gone = set(self.pods)
        for object_ in objects:
            gone.discard(_name(object_))
            self.put(object_)
        for name in gone:
            self._forget(name)

    def put(self, object_: dict[str, Any]) -> None:
        """Take a new or changed Pod; one without the gate is dropped."""
        name = _name(object_)
        gates = object_["spec"].get("readinessGates") or ()
        if not any(gate.get("conditionType") == CONDITION for gate in gates):
            self._forget(name)
            return
        before = self.pods.get(name)
        status = object_.get("status") or {}
        conditions = {c["type"]: c["status"] for c in status.get("conditions") or ()}
        running = conditions.get("ContainersReady") == "True" and not object_["metadata"].get("deletionTimestamp")
        since = before.since if before is not None and before.running else time.monotonic()
        self.pods[name] = GatedPod(
            object_["metadata"]["uid"],
            status.get("podIP", ""),
            running,
            conditions.get(CONDITION) == "True",
            since,
        )
        if before is None or before.running != running:
            self._notify(name)

    def drop(self, object_: dict[str, Any]) -> None:
        """Forget a Pod."""
        self._forget(_name(object_))

    def admit(self, slice_: EndpointSlice) -> EndpointSlice:
        """Return the slice; endpoints that wait only for Kiteway's gate count as ready."""
        endpoints = tuple(self._admit(slice_.metadata.namespace, endpoint) for endpoint in slice_.endpoints)
        return dataclasses.replace(slice_, endpoints=endpoints) if endpoints != slice_.endpoints else slice_

    def _admit(self, namespace: str, endpoint: Endpoint) -> Endpoint:
        pod = self.pods.get((namespace, pod_of(endpoint)))
        if pod is None or not pod.running or endpoint.conditions.ready is not False or endpoint.conditions.terminating:
            return endpoint
        return dataclasses.replace(endpoint, conditions=dataclasses.replace(endpoint.conditions, ready=True))

    def _forget(self, name: Name) -> None:
        if self.pods.pop(name, None) is not None:
            self._notify(name)


def pod_of(endpoint: Endpoint) -> str:
    """Return the name of an endpoint's Pod; empty when it has none."""
    target = endpoint.target_ref
    return target.name if target is not None and target.kind == "Pod" else ""


def _name(object_: Mapping[str, Any]) -> Name:
    return object_["metadata"]["namespace"], object_["metadata"]["name"]
