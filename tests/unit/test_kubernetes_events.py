"""What is an Event, and how often Kiteway writes Events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest

from kiteway.diagnostics import Diagnostic, ObjectRef, Severity
from kiteway.kubernetes.api import Api
from kiteway.report.certificates import DomainReport, DomainStatus, IssuanceStatus, ManagedCertificateReport
from kiteway.report.problem import ObjectName
from kiteway.sources.kubernetes.store import Store
from kiteway.status.writeback.events import Events, ObjectEvent, certificate_event, diagnostic_event

INGRESS = ObjectRef("Ingress", "default", "milvus")
SERVICE = ObjectRef("Service", "default", "milvus")


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
    report = ManagedCertificateReport(
        name="default/cert",
        object=ObjectName("ManagedCertificate", "default", "cert"),
        certificate_name="mcrt-1",
        certificate_status=IssuanceStatus(status),
        domain_status=(DomainReport("m.example.com", DomainStatus(domain)),),
        message=message,
        fix="Correct it.",
    )
    found = certificate_event(report)

    assert (found.reason if found else "") == reason
    if found:
        assert found.message == f"{message} Correct it."
        assert found.about == ObjectRef("ManagedCertificate", "default", "cert")
