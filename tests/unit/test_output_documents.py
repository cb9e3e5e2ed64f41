"""The JSON of `doctor`, `gke plan` and `demo`: scripts rely on its keys."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from kiteway.demo.report import DemoReport, SearchReport
from kiteway.diagnostics import Diagnostic, ObjectRef, Position, Severity
from kiteway.doctor import RULES, Report
from kiteway.doctor.document import DoctorReport, RuleList, RuleReport
from kiteway.doctor.report import Check
from kiteway.doctor.rule import failed, passed
from kiteway.gke.report import GkePlanReport
from kiteway.gke.step import Command, Effect, Impact, Plan, State, Step
from kiteway.milvus.verify import Failure, FailureReason, VerifyReport, Versions
from kiteway.milvus.verify import Step as VerifyStep
from kiteway.model import BackendProtocol
from kiteway.report.pools import EndpointHealth, EndpointReport, PoolReport, UpstreamTlsReport
from kiteway.report.status import EnvoyReport, Status
from kiteway.report.status import State as InstanceState

INGRESS = ObjectRef("Ingress", "default", "milvus")


def _never() -> bytes:
    raise AssertionError("the input of a command is not made")


def shown(document: msgspec.Struct) -> Any:
    """Return a document as `--output json` prints it."""
    return json.loads(json.dumps(msgspec.to_builtins(document)))


def test_doctor() -> None:
    """The resources are as in check-gke-ingress, with severity, fix, docs and position."""
    rule = next(rule for rule in RULES if rule.id == "TIMEOUT_30S")
    position = Position("ingress.yaml", 3, 5)
    findings = (failed(INGRESS, "It is wrong.", "Mend it.", position=position), passed(INGRESS, "It is right."))
    docs = "docs/reference/doctor.md#timeout_30s"

    document = DoctorReport.of_report(Report(((INGRESS, tuple(Check(rule, finding) for finding in findings)),)))

    assert shown(document) == {
        "schemaVersion": 1,
        "resources": [
            {
                "kind": "Ingress",
                "namespace": "default",
                "name": "milvus",
                "checks": [
                    {
                        "name": "TIMEOUT_30S",
                        "reason": "",
                        "message": "It is wrong.",
                        "result": "FAILED",
                        "severity": str(rule.severity),
                        "fix": "Mend it.",
                        "docs": docs,
                        "position": {"file": "ingress.yaml", "line": 3, "column": 5},
                    },
                    {
                        "name": "TIMEOUT_30S",
                        "reason": "",
                        "message": "It is right.",
                        "result": "PASSED",
                        "severity": None,
                        "fix": "",
                        "docs": docs,
                        "position": None,
                    },
                ],
            }
        ],
    }


def test_rules() -> None:
    """A rule has what `kiteway doctor --list` shows, why it is one, and where it is explained."""
    rule = RULES[0]
    assert shown(RuleList(rules=(RuleReport.of_rule(rule),))) == {
        "schemaVersion": 1,
        "rules": [
            {
                "id": rule.id,
                "scope": str(rule.scope),
                "severity": str(rule.severity),
                "title": rule.title,
                "why": rule.why,
                "docs": rule.docs,
            }
        ],
    }


def test_gke_plan() -> None:
    """A plan has its problems and steps; a command's input is described and never made."""
    problem = Diagnostic(Severity.WARNING, "Reason", "It is odd.", "Look.", INGRESS)
    step = Step(
        id="address",
        title="Reserve the address",
        state=State.TODO,
        sees="there is none",
        effect=Effect(Impact.RECONNECT, "All clients reconnect."),
        undo="Release it.",
        diff="+ address",
        commands=(Command(("kubectl", "apply"), stdin=_never, feed="the Ingress"),),
    )

    document = shown(GkePlanReport.of_plan(Plan((step,), (problem,))))

    [described] = document.pop("problems")
    assert (described["severity"], described["reason"], described["message"]) == ("warning", "Reason", "It is odd.")
    assert document == {
        "schemaVersion": 1,
        "changes": True,
        "steps": [
            {
                "id": "address",
                "title": "Reserve the address",
                "state": "todo",
                "sees": "there is none",
                "effect": {"impact": "reconnect", "text": "All clients reconnect."},
                "undo": "Release it.",
                "diff": "+ address",
                "commands": [{"argv": ["kubectl", "apply"], "stdin": "the Ingress"}],
            }
        ],
    }


def test_demo() -> None:
    """The demo's steps are followed by those of the verification; calls are counted by endpoint."""
    endpoint = EndpointReport(address="10.0.0.1:19530", healthy=True, health=EndpointHealth.HEALTHY, calls=12)
    pool = PoolReport(
        name="default/milvus/milvus",
        protocol=BackendProtocol.HTTP2,
        rest=True,
        endpoints=(endpoint,),
        tls=UpstreamTlsReport(verified=False, how="TLS"),
        keepalive_seconds=6.0,
    )
    status = Status(
        version="1", state=InstanceState.READY, ready=True, pools=(pool,), envoy=EnvoyReport(version="1.39.3")
    )
    found = VerifyReport(
        verified=False,
        address="127.0.0.1:8443",
        server_name="my-release.milvus.io",
        steps=(VerifyStep("connect", ok=False, seconds=0.12345, detail=""),),
        versions=Versions("2.6.0", None),
        failure=Failure(FailureReason.TLS, "It failed.", "Mend it."),
    )
    report = DemoReport(versions={"kiteway": "1"})
    report.add_step("milvus", ok=True, seconds=1.0)
    report.searches = [SearchReport("miss", 0.0064), SearchReport("hit; age=1.2", 0.0007)]

    report.complete(found, status)

    assert shown(report) == {
        "schemaVersion": 1,
        "verified": False,
        "steps": [
            {"name": "milvus", "ok": True, "seconds": 1.0},
            {"name": "verify/connect", "ok": False, "seconds": 0.123},
        ],
        "requestsPerEndpoint": {"10.0.0.1:19530": 12},
        "searches": [{"outcome": "miss", "seconds": 0.0064}, {"outcome": "hit; age=1.2", "seconds": 0.0007}],
        "versions": {"kiteway": "1", "pymilvus": "2.6.0", "milvus": "", "envoy": "1.39.3"},
        "failure": {"reason": "Tls", "sentence": "It failed.", "fix": "Mend it."},
    }
