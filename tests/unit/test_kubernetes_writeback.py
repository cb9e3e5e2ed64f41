"""What Kiteway writes to the objects of the cluster."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from kiteway.diagnostics import ObjectRef
from kiteway.envoy.clusters import read_clusters
from kiteway.model import (
    BackendProtocol,
    HTTPMode,
    LoadBalancer,
    PathMatch,
    PathMatchType,
    Pool,
    PoolKey,
    Route,
    VirtualHost,
)
from kiteway.quarantine.quarantine import Quarantined
from kiteway.report.certificates import DomainReport, DomainStatus, IssuanceStatus, ManagedCertificateReport
from kiteway.report.problem import ObjectName
from kiteway.resources.annotations import ACCEPTED
from kiteway.sources.kubernetes.gate import Gate
from kiteway.sources.kubernetes.store import ControllerState
from kiteway.status.writeback.health import BackendHealth, read
from kiteway.status.writeback.object_status import ObjectStatus, group_name, object_statuses
from kiteway.status.writeback.readiness import TIMEOUT_SECONDS, due
from kiteway.status.writeback.writer import is_written

INGRESS = ObjectRef("Ingress", "default", "milvus")
SERVICE = ObjectRef("Service", "default", "milvus")
KEY = PoolKey("default", "milvus", 19530)
CLUSTER = "pool/default/milvus/19530/grpc"


def _model() -> LoadBalancer:
    route = Route(PathMatch(PathMatchType.PREFIX, "/"), KEY, INGRESS)
    host = VirtualHost("m.example.com", (route,), https=True, http=HTTPMode.OFF, source=INGRESS)
    pool = Pool(
        key=KEY,
        protocol=BackendProtocol.HTTP2,
        health_check=None,
        rest=False,
        source=SERVICE,
    )
    return LoadBalancer(hosts=(host,), pools=(pool,))


def test_the_status_of_the_guide() -> None:
    """The Ingress has the address and the backends' health, the Service its groups and zones."""
    found = object_statuses(
        _model(),
        {CLUSTER: BackendHealth.HEALTHY},
        ({"ip": "203.0.113.7"},),
        {("default", "milvus"): ["b", "a", "b"]},
        (),
    )

    assert found[INGRESS].status == {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}}
    backends = json.loads(found[INGRESS].annotations["ingress.kubernetes.io/backends"])
    assert backends == {group_name(KEY): "HEALTHY"}
    groups = json.loads(found[SERVICE].annotations["cloud.google.com/neg-status"])
    assert groups == {"network_endpoint_groups": {"19530": group_name(KEY)}, "zones": ["a", "b"]}


def test_an_ingress_in_quarantine_has_a_condition() -> None:
    """
    The condition is beside the other status, also for an Ingress that is not served, and is removed after a
    correction.
    """
    since = dt.datetime(2026, 11, 29, 10, tzinfo=dt.UTC)
    other = ObjectRef("Ingress", "default", "other")
    undecided = ObjectRef("Ingress", "default", "undecided")
    held = [
        Quarantined(INGRESS, "no", since, served=True),
        Quarantined(other, "x" * 5000, since, served=False),
        Quarantined(undecided, "", None, served=False),
    ]
    found = object_statuses(_model(), {}, ({"ip": "203.0.113.7"},), {}, (), held=held)

    assert json.loads(found[INGRESS].annotations[ACCEPTED]) == {
        "type": "Accepted",
        "status": "False",
        "reason": "RejectedByEnvoy",
        "message": "no",
        "lastTransitionTime": "2026-11-29T10:00:00Z",
    }
    assert "ingress.kubernetes.io/backends" in found[INGRESS].annotations
    assert found[INGRESS].status
    assert len(found[other].annotations[ACCEPTED]) < 1200
    assert undecided not in found
    mended = object_statuses(_model(), {}, ({"ip": "203.0.113.7"},), {}, ())[INGRESS]
    live = ControllerState("u", mended.status, {**mended.annotations, ACCEPTED: "{}"}, ours=True)
    assert not is_written(live, mended)
    assert is_written(ControllerState("u", mended.status, mended.annotations, ours=True), mended)


def test_an_address_that_is_not_known_is_not_touched() -> None:
    """If no address is configured or known yet, an Ingress's address does not change."""
    found = object_statuses(_model(), {}, None, {}, ())

    assert found[INGRESS].status == {}
    assert "Unknown" in found[INGRESS].annotations["ingress.kubernetes.io/backends"]


def test_an_address_that_is_gone_is_taken_back() -> None:
    """If the published Service has lost its address, the Ingress loses it too; the API server omits empty lists."""
    what = object_statuses(_model(), {}, (), {}, ())[INGRESS]

    assert what.status == {"loadBalancer": {"ingress": []}}
    assert is_written(ControllerState("u", {"loadBalancer": {}}, what.annotations, ours=True), what)
    old = {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}
    assert not is_written(ControllerState("u", old, what.annotations, ours=True), what)


def managed(status: IssuanceStatus, domain: DomainReport, message: str = "", fix: str = "") -> ManagedCertificateReport:
    """Return the report on a ManagedCertificate with one name."""
    return ManagedCertificateReport(
        name="default/cert",
        object=ObjectName("ManagedCertificate", "default", "cert"),
        certificate_name="mcrt-1",
        certificate_status=status,
        domain_status=(domain,),
        message=message,
        fix=fix,
    )


def test_a_managed_certificate_says_what_google_says() -> None:
    """Only GKE's fields are written, and no empty expireTime, which is no date."""
    report = managed(
        IssuanceStatus.PROVISIONING, DomainReport("m.example.com", DomainStatus.PROVISIONING, "ours"), fix="ours"
    )
    found = object_statuses(LoadBalancer(), {}, (), {}, [report])

    assert found[ObjectRef("ManagedCertificate", "default", "cert")].status == {
        "certificateName": "mcrt-1",
        "certificateStatus": "Provisioning",
        "domainStatus": [{"domain": "m.example.com", "status": "Provisioning"}],
    }


def test_group_names_are_short_and_distinct() -> None:
    """Two long names with the same beginning differ within 63 characters."""
    long = [PoolKey("n" * 60, f"{'s' * 60}{end}", 19530) for end in "ab"]
    names = {group_name(key) for key in long}

    assert len(names) == 2
    assert max(map(len, names)) <= 63


def test_said_already() -> None:
    """
    Present values are not written again; others' fields do not count; Kiteway's fields without a reason are
    removed.
    """
    what = ObjectStatus({"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}, {"k": "v"})
    there = ControllerState("u", {**what.status, "others": 1}, {"k": "v", "x": "y"}, ours=True)

    assert is_written(there, what)
    assert not is_written(ControllerState("u", {}, {"k": "v"}, ours=True), what)
    assert not is_written(ControllerState("u", what.status, {}, ours=True), what)
    assert not is_written(there, ObjectStatus())
    assert is_written(ControllerState("u", {}, {}, ours=False), ObjectStatus())


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([], BackendHealth.UNKNOWN),
        ([{"pending_active_hc": True, "failed_active_health_check": True}], BackendHealth.UNKNOWN),
        ([{"failed_active_health_check": True}], BackendHealth.UNHEALTHY),
        ([{"failed_active_health_check": True}, {"eds_health_status": "HEALTHY"}], BackendHealth.HEALTHY),
        ([{"eds_health_status": "DRAINING"}], BackendHealth.UNHEALTHY),
    ],
)
def test_health(statuses: list[dict[str, Any]], expected: BackendHealth) -> None:
    """One healthy endpoint makes a backend HEALTHY; an endpoint that is not checked yet does not count."""
    hosts = [
        {"address": {"socket_address": {"address": f"10.0.0.{n}", "port_value": 1}}, "health_status": each, "weight": 1}
        for n, each in enumerate(statuses)
    ]
    seen = read(read_clusters(json.dumps({"cluster_statuses": [{"name": "c", "host_statuses": hosts}]}).encode()))

    assert seen.backends == {"c": expected}


def _gated(name: str, *, ready: bool) -> dict[str, Any]:
    conditions = [{"type": "ContainersReady", "status": "True" if ready else "False"}]
    return {
        "metadata": {"namespace": "default", "name": name, "uid": name},
        "spec": {"readinessGates": [{"conditionType": "kiteway.io/load-balancer-ready"}]},
        "status": {"podIP": f"10.0.0.{name}", "conditions": conditions},
    }


def test_gates_of_healthy_and_long_waiting_pods_open() -> None:
    """The gate opens for running Pods that are healthy, and for those that have waited for ten minutes."""
    gate = Gate(lambda _: None)
    for name, ready in (("1", True), ("2", True), ("3", False)):
        gate.put(_gated(name, ready=ready))
    gate.put({"metadata": {"namespace": "default", "name": "plain", "uid": "x"}, "spec": {}})
    healthy = {"10.0.0.1": True, "10.0.0.2": False, "10.0.0.3": True}
    since = gate.pods["default", "2"].since

    assert [name for (_, name), *_ in due(gate, healthy, since + 1)] == ["1"]
    assert [name for (_, name), *_ in due(gate, healthy, since + TIMEOUT_SECONDS + 1)] == ["1", "2"]
