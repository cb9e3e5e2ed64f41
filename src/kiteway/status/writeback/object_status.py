"""What the objects' status shall say: a pure function of the model, the endpoints' health and the addresses."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kiteway.diagnostics import ObjectRef
from kiteway.envoy.xds.common import grpc_cluster_name
from kiteway.model import LoadBalancer, PoolKey
from kiteway.quarantine.quarantine import REJECTED, Quarantined
from kiteway.resources import ManagedCertificate
from kiteway.resources import annotations as keys
from kiteway.sources.kubernetes.published import Address
from kiteway.status.writeback.health import Health

BACKENDS: Final = f"{keys.STATUS_PREFIX}backends"
"""The health of an Ingress's backends: JSON, name to HEALTHY, UNHEALTHY or Unknown."""

_CERTIFICATE_FIELDS: Final = ("certificateName", "certificateStatus", "domainStatus", "expireTime")
_GROUP_NAME_LENGTH: Final = 63
_MESSAGE_LENGTH: Final = 1000
"""Characters of Envoy's sentence: all annotations of an object together have room for 256 KiB."""


@dataclass(frozen=True, slots=True)
class ObjectStatus:
    """
    What Kiteway says about one object.

    Attributes:
        status: its part of the status.
        annotations: annotations.
    """

    status: Mapping[str, Any] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


def object_statuses(
    model: LoadBalancer,
    health: Mapping[str, Health],
    addresses: tuple[Address, ...] | None,
    zones: Mapping[tuple[str, str], Iterable[str]],
    managed: Iterable[Mapping[str, Any]],
    *,
    held: Iterable[Quarantined] = (),
) -> dict[ObjectRef, ObjectStatus]:
    """
    Return what every object shall say.

    Args:
        model: what is balanced.
        health: the health of every cluster by its name.
        addresses: where clients reach Kiteway; without any no Ingress has an address. None says nothing about it.
        zones: the zones of a Service's endpoints, by namespace and name.
        managed: the reports on ManagedCertificates.
        held: Ingresses that are held back.
    """
    found: dict[ObjectRef, ObjectStatus] = {}
    pools: dict[ObjectRef, set[PoolKey]] = {}
    for host in model.hosts:
        pools.setdefault(host.source, set())
        for route in host.routes:
            if route.pool is not None:
                pools.setdefault(route.source, set()).add(route.pool)
    for ingress, names in pools.items():
        backends = {group_name(key): str(health.get(grpc_cluster_name(key), Health.UNKNOWN)) for key in sorted(names)}
        found[ingress] = ObjectStatus(
            {} if addresses is None else {"loadBalancer": {"ingress": [dict(address) for address in addresses]}},
            {BACKENDS: _json(backends)},
        )
    for each in held:
        if each.since is not None:
            said = found.get(each.ref, ObjectStatus())
            annotations = {**said.annotations, keys.ACCEPTED: _json(_rejected(each.message, each.since))}
            found[each.ref] = ObjectStatus(said.status, annotations)
    services: dict[ObjectRef, dict[str, str]] = {}
    for pool in model.pools:
        services.setdefault(pool.source, {})[str(pool.key.port)] = group_name(pool.key)
    for service, groups in services.items():
        where = sorted(set(zones.get((service.namespace, service.name), ())))
        found[service] = ObjectStatus(
            annotations={keys.NEG_STATUS: _json({"network_endpoint_groups": groups, "zones": where})}
        )
    for report in managed:
        namespace, _, name = report["name"].partition("/")
        status = {name: report[name] for name in _CERTIFICATE_FIELDS if report.get(name)}
        status["domainStatus"] = [{"domain": d["domain"], "status": d["status"]} for d in report["domainStatus"]]
        found[ObjectRef(ManagedCertificate.KIND, namespace, name)] = ObjectStatus(status)
    return found


def _rejected(message: str, since: dt.datetime) -> dict[str, str]:
    """Return a condition as those in the status of other kinds; that of an Ingress has none."""
    return {
        "type": "Accepted",
        "status": "False",
        "reason": REJECTED,
        "message": message[:_MESSAGE_LENGTH],
        "lastTransitionTime": since.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def group_name(key: PoolKey) -> str:
    """Name a pool as GKE names a NEG: readable, unique, at most 63 characters."""
    digest = hashlib.sha256(str(key).encode()).hexdigest()[:8]
    text = f"kiteway1-{key.namespace}-{key.service}-{key.port}"
    return f"{text[: _GROUP_NAME_LENGTH - 9]}-{digest}"


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))
