"""The present state: one reading of the cluster, as values."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Object = Mapping[str, Any]
"""A Kubernetes object as kubectl prints it."""

_TAG = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Release:
    """
    A Helm release.

    Attributes:
        name: its name.
        namespace: where it is.
        chart: the chart's name, without a repository.
        version: the chart's version; an upgrade keeps it.
        revision: the newest one.
        status: ``deployed``, ``pending-upgrade``, ...
        apply_method: ``ssa`` (server-side apply), ``csa``, or empty when Helm is too old to say.
        values: the user's values.
        effective: the user's values merged over the chart's defaults.
    """

    name: str
    namespace: str
    chart: str
    version: str
    revision: int
    status: str
    apply_method: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    effective: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StaticAddress:
    """A reserved global address; ``known`` is False if gcloud is not installed."""

    known: bool
    address: str | None = None


@dataclass(frozen=True, slots=True)
class ClusterReading:
    """
    One reading.

    Attributes:
        release: Milvus's release; None when there is none.
        service: the chart's Service.
        front: the Service that Google's balancer leads to: Milvus's, or Kiteway's.
        workload: the Deployment whose pods serve: the proxies, or standalone.
        pods: those behind Google's balancer: Milvus's, or Kiteway's.
        objects: the other objects that were found, by ``(kind, namespace, name)``.
        record: the state before the first change; None before it. See `kiteway.gke.record`.
        kiteway: whether Kiteway is in the cluster: its IngressClass is.
        kiteway_release: Kiteway's own release, if it is read.
        static_address: the reserved address of the wanted name.
        addresses: what the host resolves to.
        helm: Helm's version.
        at: when it was read.
    """

    release: Release | None
    service: Object | None = None
    front: Object | None = None
    workload: Object | None = None
    pods: tuple[Object, ...] = ()
    objects: Mapping[tuple[str, str, str], Object] = field(default_factory=dict)
    record: Mapping[str, Any] | None = None
    kiteway: bool = False
    kiteway_release: Release | None = None
    static_address: StaticAddress = StaticAddress(known=False)
    addresses: tuple[str, ...] = ()
    helm: tuple[int, int, int] = (0, 0, 0)
    at: dt.datetime = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """Return an object of the reading; None if it does not exist."""
        return self.objects.get((kind, namespace, name))

    @property
    def milvus_version(self) -> tuple[int, int, int] | None:
        """Milvus's version by the image's tag; None when the tag is no version."""
        for container in dig(self.workload, "spec", "template", "spec", "containers") or ():
            found = _TAG.fullmatch(str(container.get("image", "")).rpartition(":")[2])
            if found:
                return int(found[1]), int(found[2]), int(found[3])
        return None

    @property
    def l4_address(self) -> str | None:
        """The address of the old Layer-4 balancer."""
        if dig(self.service, "spec", "type") != "LoadBalancer":
            return None
        return balancer_address(self.service)


def balancer_address(item: Object | None) -> str | None:
    """Return the first address in the ``status.loadBalancer`` of a Service or an Ingress."""
    found: Mapping[str, str] = (dig(item, "status", "loadBalancer", "ingress") or [{}])[0]
    return found.get("ip") or found.get("hostname")


def dig(value: Any, *path: str) -> Any:
    """Follow keys down; None where one is missing."""
    for step in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(step)
    return value


def annotations_of(item: Object | None) -> Mapping[str, str]:
    """Return an object's annotations."""
    return dig(item, "metadata", "annotations") or {}
