"""The events of the web page: the differences between two statuses."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
import pytest

from kiteway.dashboard.journal import Event, Journal, Level
from kiteway.dashboard.source import unanswered
from kiteway.diagnostics import Severity
from kiteway.model import BackendProtocol
from kiteway.report.certificates import ServedCertificate
from kiteway.report.configuration import ConfigurationReport, QuarantineReport, RejectionReport
from kiteway.report.pools import EndpointHealth, EndpointReport, PoolReport, UpstreamTlsReport
from kiteway.report.problem import ObjectName, Problem
from kiteway.report.status import EnvoyReport, State, Status
from kiteway.report.supervisor import ChildState, Phase, SupervisorState

NOW = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)


def status(*endpoints: EndpointReport, **changes: Any) -> Status:
    """Return a status with one pool."""
    pool = PoolReport(
        name="default/milvus/19530",
        protocol=BackendProtocol.HTTP2,
        rest=False,
        endpoints=endpoints,
        tls=UpstreamTlsReport(verified=False, how="plaintext"),
        keepalive_seconds=10,
    )
    values: dict[str, Any] = {
        "version": "1",
        "state": State.READY,
        "ready": True,
        "envoy": EnvoyReport(reachable=True),
        "pools": (pool,),
    }
    return Status(**(values | changes))


def endpoint(
    address: str = "10.0.0.1:19530", health: EndpointHealth = EndpointHealth.HEALTHY, why: str = ""
) -> EndpointReport:
    """Return an endpoint."""
    return EndpointReport(address=address, healthy=health is EndpointHealth.HEALTHY, health=health, why=why)


def test_events_are_read_while_others_come() -> None:
    """A thread of the server reads the events while the event loop adds one."""
    journal = Journal()
    for health in (EndpointHealth.HEALTHY, EndpointHealth.FAILING, EndpointHealth.HEALTHY):
        journal.take(status(endpoint(health=health)), NOW)

    class Meanwhile(int):
        """Is compared with each event's id, and adds an event then."""

        def __lt__(self, other: int) -> bool:
            journal.take(status(), NOW)
            return super().__lt__(other)

    assert [event.kind for event in journal.newest(after=Meanwhile(0))] == ["endpoint.health"] * 2
    assert [event.kind for event in journal.newest()] == ["endpoint.removed"] + ["endpoint.health"] * 2


def certificate(fingerprint: str = "a", days: int = 60) -> ServedCertificate:
    """Return a certificate that has ``days`` left."""
    return ServedCertificate(
        name="default/tls",
        names=("milvus.example.com",),
        not_before=NOW,
        not_after=NOW + dt.timedelta(days=days),
        days_left=days,
        key_type="EC",
        issuer="CN=x",
        self_signed=False,
        fingerprint=fingerprint,
        chain=(),
        problems=(),
        source="",
        served_for=(),
        temporary=False,
    )


def supervisor(restarts: int) -> SupervisorState:
    """Return a supervisor whose Envoy was restarted so often."""
    return SupervisorState(1, NOW, Phase.RUNNING, {"envoy": ChildState(pid=2, restarts=restarts, last_exit="killed")})


def events(*statuses: Status) -> list[Event]:
    """Return what a journal says about these statuses, the oldest first."""
    journal = Journal()
    for number, each in enumerate(statuses):
        journal.take(each, NOW + dt.timedelta(seconds=number))
    return journal.newest()[::-1]


PROBLEM = Problem(
    Severity.ERROR, "ServiceNotFound", "no such Service", ObjectName("Ingress", "default", "x"), fix="make it"
)
REJECTION = RejectionReport(NOW, "Listener", ("https",), "bad")
HELD = QuarantineReport("Ingress default/x", "bad regex", NOW, served=True)
FAILS = endpoint(health=EndpointHealth.FAILING, why="9091 refused the connection")


@pytest.mark.parametrize(
    ("before", "now", "kind", "level", "about"),
    [
        (status(endpoint()), status(FAILS), "endpoint.health", Level.BAD, FAILS.address),
        (status(FAILS), status(endpoint()), "endpoint.health", Level.GOOD, FAILS.address),
        (status(), status(endpoint()), "endpoint.added", Level.NOTE, FAILS.address),
        (status(endpoint()), status(), "endpoint.removed", Level.NOTE, FAILS.address),
        (status(), status(diagnostics=(PROBLEM,)), "problem.new", Level.BAD, "Ingress default/x"),
        (status(diagnostics=(PROBLEM,)), status(), "problem.gone", Level.GOOD, "Ingress default/x"),
        (status(), status(state=State.DEGRADED), "instance.state", Level.WARNING, ""),
        (status(), status(configuration=ConfigurationReport(version="b")), "configuration.changed", Level.NOTE, ""),
        (
            status(),
            status(configuration=ConfigurationReport(rejections=(REJECTION,))),
            "configuration.rejected",
            Level.BAD,
            "https",
        ),
        (
            status(),
            status(configuration=ConfigurationReport(quarantine=(HELD,))),
            "quarantine.began",
            Level.BAD,
            HELD.object,
        ),
        (
            status(configuration=ConfigurationReport(quarantine=(HELD,))),
            status(),
            "quarantine.ended",
            Level.GOOD,
            HELD.object,
        ),
        (
            status(certificates=(certificate(),)),
            status(certificates=(certificate("b"),)),
            "certificate.replaced",
            Level.GOOD,
            "default/tls",
        ),
        (
            status(certificates=(certificate(days=22),)),
            status(certificates=(certificate(days=21),)),
            "certificate.near",
            Level.WARNING,
            "default/tls",
        ),
        (status(supervisor=supervisor(0)), status(supervisor=supervisor(1)), "process.restarted", Level.BAD, "envoy"),
        (status(), unanswered("it hangs"), "controlplane.silent", Level.BAD, ""),
    ],
)
def test_a_difference_is_one_event(before: Status, now: Status, kind: str, level: Level, about: str) -> None:
    """And the same status again is none."""
    [event] = events(before, now, now)
    assert (event.kind, event.level, event.about) == (kind, level, about)
    assert event.id == 1
    assert event.at == NOW + dt.timedelta(seconds=1)


def test_the_reason_is_in_the_event() -> None:
    """Why an endpoint fails its check, and what to do about a problem."""
    [failing] = events(status(endpoint()), status(FAILS))
    assert failing.details == {"pool": "default/milvus/19530", "health": "failing", "why": FAILS.why}
    [problem] = events(status(), status(diagnostics=(PROBLEM,)))
    assert problem.details["fix"] == "make it"


def test_a_start_is_no_event() -> None:
    """A control plane that has not answered yet, and what it says first."""
    assert events(unanswered("not yet"), status(FAILS, diagnostics=(PROBLEM,))) == []


def test_a_control_plane_or_envoy_that_does_not_answer_removes_no_endpoint() -> None:
    """Nothing is known of endpoints then; a change in between is seen afterwards."""
    silent = unanswered("it hangs")
    found = events(status(endpoint()), silent, silent, status(FAILS))
    assert [event.kind for event in found] == ["controlplane.silent", "controlplane.answers", "endpoint.health"]
    away = status(envoy=EnvoyReport(error="gone"))
    assert [event.kind for event in events(status(endpoint()), away, status(endpoint()))] == ["envoy.silent"]


def test_a_flood_is_a_bounded_number_of_events_with_bounded_texts() -> None:
    """Ten thousand endpoints at once, and a text of a megabyte."""
    many = [endpoint(f"10.0.{number // 250}.{number % 250}:19530", why="x" * 1_000_000) for number in range(1000)]
    found = events(status(), status(*many))
    assert len(found) == 21
    assert found[-1].kind == "more"
    assert found[-1].details == {"kind": "endpoint.added", "number": "980"}
    assert len(msgspec.json.encode(found)) < 30_000


def test_the_journal_is_bounded() -> None:
    """The oldest events go first, and ids go on."""
    journal = Journal(most=5)
    for number in range(20):
        journal.take(status(endpoint() if number % 2 else FAILS), NOW)
    assert [event.id for event in journal.newest()] == [19, 18, 17, 16, 15]
    assert [event.id for event in journal.newest(after=17)] == [19, 18]
