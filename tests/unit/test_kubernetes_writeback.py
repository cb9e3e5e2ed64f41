"""What Kiteway writes to the cluster, which replica writes, and how often."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest

from kiteway.diagnostics import Diagnostic, ObjectRef, Severity
from kiteway.envoy.clusters import read_clusters
from kiteway.kubernetes.api import Api, ApiError
from kiteway.kubernetes.lease import DURATION_SECONDS, Lease
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
from kiteway.sources.kubernetes.store import ControllerState, Store
from kiteway.status.writeback.events import Events, ObjectEvent, certificate_event, diagnostic_event
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


@pytest.mark.parametrize(
    ("status", "domain", "message", "reason"),
    [
        ("Provisioning", "FailedNotVisible", "no A record.", "FailedNotVisible"),
        ("ProvisioningFailed", "Provisioning", "the CA is down.", "ProvisioningFailed"),
        ("RenewalFailed", "FailedCaaForbidden", "CAA.", "FailedCaaForbidden"),
        ("Provisioning", "Provisioning", "no Ingress names it.", ""),
        ("ProvisioningFailed", "Provisioning", "", ""),
        ("Active", "Active", "", ""),
    ],
)
def test_why_there_is_no_certificate_is_an_event(status: str, domain: str, message: str, reason: str) -> None:
    """The reason that GKE's words leave out is in an Event; a status without a failure gives no Event."""
    found = certificate_event(
        managed(
            IssuanceStatus(status),
            DomainReport("m.example.com", DomainStatus(domain)),
            message=message,
            fix="Correct it.",
        )
    )

    assert (found.reason if found else "") == reason
    if found:
        assert found.message == f"{message} Correct it."
        assert found.about == ObjectRef("ManagedCertificate", "default", "cert")


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


class Leases:
    """An API server with one Lease."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.writes = 0

    async def get(self, _path: str) -> dict[str, Any]:
        """Return the Lease."""
        if self.lease is None:
            raise ApiError(404, "NotFound", "")
        return self.lease

    async def create(self, _path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Make the Lease."""
        return await self.replace(_path, {**body, "metadata": {"resourceVersion": "0"}})

    async def replace(self, _path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Write the Lease, if it did not change meanwhile."""
        if self.lease is not None and body["metadata"] != self.lease["metadata"]:
            raise ApiError(409, "Conflict", "")
        self.writes += 1
        self.lease = {**body, "metadata": {"resourceVersion": str(self.writes)}}
        return self.lease


def test_one_holds_the_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The second replica gets the Lease only if the first has not renewed it for the whole duration, as the
    second sees it.
    """
    now = 1000.0
    monkeypatch.setattr("kiteway.kubernetes.lease.time.monotonic", lambda: now)
    leases = Leases()
    first, second = (Lease(cast("Api", leases), "ns", "kiteway", name) for name in ("first", "second"))

    assert asyncio.run(first._try())
    assert not asyncio.run(second._try())
    now += DURATION_SECONDS - 1
    assert asyncio.run(first._try())
    now += DURATION_SECONDS - 1
    assert not asyncio.run(second._try())
    now += DURATION_SECONDS
    assert asyncio.run(second._try())
    assert not asyncio.run(first._try())
    assert leases.lease is not None
    assert leases.lease["spec"]["leaseTransitions"] == 1


def test_each_time_of_holding_it_is_another_term(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A renewal in time stays in the same term; a holder that was too late begins another one, even if no other
    took the Lease.
    """
    now = 1000.0
    monkeypatch.setattr("kiteway.kubernetes.lease.time.monotonic", lambda: now)
    rounds = iter([0.0, 5.0, 60.0])
    lease = Lease(cast("Api", Leases()), "ns", "kiteway", "one")
    terms: list[int] = []

    async def sleep(_seconds: float) -> None:
        nonlocal now
        terms.append(lease.term)
        now += next(rounds, 1.0)
        if len(terms) == 4:
            raise asyncio.CancelledError

    monkeypatch.setattr("kiteway.kubernetes.lease.asyncio.sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(lease.run())

    assert terms == [1, 1, 1, 2]


def test_a_race_for_the_lease_has_one_winner() -> None:
    """Of two replicas that write at the same time the slower one is refused and does not hold the Lease."""
    leases = Leases()
    asyncio.run(leases.create("", {"spec": {"holderIdentity": "", "leaseTransitions": 0}}))
    stale = dict(leases.lease or {})
    assert asyncio.run(Lease(cast("Api", leases), "ns", "kiteway", "quick")._try())

    async def late(_path: str) -> dict[str, Any]:
        return stale

    leases.get = late  # type: ignore[method-assign]
    assert not asyncio.run(Lease(cast("Api", leases), "ns", "kiteway", "slow")._try())


class Posts:
    """An API server that takes Events."""

    def __init__(self) -> None:
        self.posted: list[Mapping[str, Any]] = []

    async def create(self, _path: str, body: Mapping[str, Any]) -> None:
        """Take one."""
        self.posted.append(body)


def _events(monkeypatch: pytest.MonkeyPatch) -> tuple[Posts, Events]:
    store = Store()
    monkeypatch.setattr(Store, "identity", lambda _self, ref: ("v1", ref.name))
    posts = Posts()
    return posts, Events(cast("Api", posts), store, "me")


def test_an_event_is_posted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same sentence about the same object is one Event, however often it is reported."""
    posts, events = _events(monkeypatch)
    for _ in range(3):
        events.add([ObjectEvent(INGRESS, "Trap", "it is one"), ObjectEvent(SERVICE, "Trap", "it is one")])
        asyncio.run(events.post())

    assert [each["involvedObject"]["kind"] for each in posts.posted] == ["Ingress", "Service"]
    assert {each["type"] for each in posts.posted} == {"Warning"}


def test_events_are_rationed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand mistakes are a burst of 25 Events and then one in two seconds, until all are written."""
    now = 1000.0
    monkeypatch.setattr("kiteway.status.writeback.events.time.monotonic", lambda: now)
    posts, events = _events(monkeypatch)
    events.announce(ObjectEvent(INGRESS, "Trap", str(number)) for number in range(1000))

    asyncio.run(events.post())
    assert len(posts.posted) == 25
    now += 20
    asyncio.run(events.post())
    assert len(posts.posted) == 35


def test_a_namespace_full_of_mistakes_delays_no_other_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Namespaces take turns, whichever began, so the Event of another one is the second."""
    posts, events = _events(monkeypatch)
    other = ObjectRef("Ingress", "other", "i")
    events.announce(
        [*(ObjectEvent(INGRESS, "Trap", str(number)) for number in range(1000)), ObjectEvent(other, "Trap", "x")]
    )
    events.add(ObjectEvent(INGRESS, "IPChanged", str(number)) for number in range(1000))
    asyncio.run(events.post())

    assert [each["involvedObject"]["namespace"] for each in posts.posted].index("other") == 1


def test_what_is_no_longer_wrong_waits_for_no_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects that change each second leave no Events behind that wait for ever, and those about news are limited."""
    posts, events = _events(monkeypatch)
    monkeypatch.setattr(Events, "_token", lambda self: self._tokens > 0)
    for number in range(1000):
        events.announce([ObjectEvent(INGRESS, "Trap", str(number))])
        events.add([ObjectEvent(INGRESS, "IPChanged", str(number))])
    asyncio.run(events.post())

    assert [each["message"] for each in posts.posted] == [*map(str, range(900, 1000)), "999"]


def test_notes_are_no_events() -> None:
    """
    A note appears only in `kiteway status`, and a diagnostic without a namespaced object has no place for an
    Event.
    """
    make: Callable[..., Diagnostic] = Diagnostic
    assert diagnostic_event(make(Severity.NOTE, "R", "m", "", INGRESS)) is None
    assert diagnostic_event(make(Severity.ERROR, "R", "m", "", None)) is None
    assert diagnostic_event(make(Severity.ERROR, "R", "is bad.", "Fix it.", INGRESS)) == ObjectEvent(
        INGRESS, "R", "is bad. Fix it."
    )


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


def test_a_refused_lease_is_no_lost_race() -> None:
    """A refusal other than a conflict is raised, because a user must remove its cause."""
    leases = Leases()

    async def refuse(_path: str, _body: Mapping[str, Any]) -> dict[str, Any]:
        raise ApiError(403, "Forbidden", "no")

    leases.create = refuse  # type: ignore[method-assign, assignment]
    with pytest.raises(ApiError, match="no"):
        asyncio.run(Lease(cast("Api", leases), "ns", "kiteway", "me")._try())
