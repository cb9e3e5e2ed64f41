"""The status of each object: a pure function of the model, the endpoints' health and the addresses."""

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
from kiteway.report.certificates import ManagedCertificateReport
from kiteway.resources import annotations as keys
from kiteway.sources.kubernetes.published import Address
from kiteway.status.writeback.health import BackendHealth

BACKENDS: Final = f"{keys.STATUS_PREFIX}backends"
"""The health of an Ingress's backends: JSON, name to HEALTHY, UNHEALTHY or Unknown."""

_GROUP_NAME_LENGTH: Final = 63
_MESSAGE_LENGTH: Final = 1000
"""Characters of Envoy's sentence: all annotations of an object together have at most 256 KiB."""


@dataclass(frozen=True, slots=True)
class ObjectStatus:
    """
    The fields that Kiteway writes to one object.

    Attributes:
        status: Kiteway's fields of the status.
        annotations: Kiteway's annotations.
    """

    status: Mapping[str, Any] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


def object_statuses(
    model: LoadBalancer,
    health: Mapping[str, BackendHealth],
    addresses: tuple[Address, ...] | None,
    zones: Mapping[tuple[str, str], Iterable[str]],
    managed: Iterable[ManagedCertificateReport],
    *,
    held: Iterable[Quarantined] = (),
) -> dict[ObjectRef, ObjectStatus]:
    """
    Return what is to be written to each object.

    Args:
        model: the load balancer.
        health: the health of each cluster by its name.
        addresses: the addresses of the Ingresses; an empty sequence removes them, None leaves them unchanged.
        zones: the zones of a Service's endpoints, by namespace and name.
        managed: the ManagedCertificates.
        held: the Ingresses in quarantine.
    """
    found: dict[ObjectRef, ObjectStatus] = {}
    pools: dict[ObjectRef, set[PoolKey]] = {}
    for host in model.hosts:
        pools.setdefault(host.source, set())
        for route in host.routes:
            if route.pool is not None:
                pools.setdefault(route.source, set()).add(route.pool)
    for ingress, names in pools.items():
        backends = {
            group_name(key): str(health.get(grpc_cluster_name(key), BackendHealth.UNKNOWN)) for key in sorted(names)
        }
        found[ingress] = ObjectStatus(
            {} if addresses is None else {"loadBalancer": {"ingress": [dict(address) for address in addresses]}},
            {BACKENDS: _json(backends)},
        )
    for each in held:
        if each.since is not None:
            other = found.get(each.ref, ObjectStatus())
            annotations = {**other.annotations, keys.ACCEPTED: _json(_rejected(each.message, each.since))}
            found[each.ref] = ObjectStatus(other.status, annotations)
    services: dict[ObjectRef, dict[str, str]] = {}
    for pool in model.pools:
        services.setdefault(pool.source, {})[str(pool.key.port)] = group_name(pool.key)
    for service, groups in services.items():
        where = sorted(set(zones.get((service.namespace, service.name), ())))
        found[service] = ObjectStatus(
            annotations={keys.NEG_STATUS: _json({"network_endpoint_groups": groups, "zones": where})}
        )
    found |= {report.object.ref: ObjectStatus(_certificate_status(report)) for report in managed}
    return found


def _certificate_status(report: ManagedCertificateReport) -> dict[str, Any]:
    """Return GKE's fields."""
    status: dict[str, Any] = {
        "certificateName": report.certificate_name,
        "certificateStatus": str(report.certificate_status),
        "domainStatus": [{"domain": each.domain, "status": str(each.status)} for each in report.domain_status],
    }
    if report.expire_time is not None:
        status["expireTime"] = report.expire_time.isoformat()
    return status


def _rejected(message: str, since: dt.datetime) -> dict[str, str]:
    """Return a condition like those in the status of other kinds; the status of an Ingress has none."""
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
