"""Text of tenants and servers, printed for people."""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib
import io
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from kiteway.cli import app
from kiteway.cli.gke_show import print_plan
from kiteway.cli.output import Output, emit, fail, print_diagnostics
from kiteway.cli.status_show import print_status
from kiteway.diagnostics import Diagnostic, ObjectRef, Position, Severity
from kiteway.gke.step import Command, Effect, Impact, Plan, Step
from kiteway.gke.step import State as StepState
from kiteway.milvus.verify import Failure, FailureReason, VerifyReport, Versions
from kiteway.milvus.verify import Step as VerifyStep
from kiteway.model import BackendProtocol, ListenerProtocol
from kiteway.printable import printable
from kiteway.report.caches import CacheCounts, CacheReport
from kiteway.report.certificates import (
    CertificateProblem,
    DomainReport,
    DomainStatus,
    IssuanceStatus,
    ManagedCertificateReport,
    ServedCertificate,
)
from kiteway.report.configuration import ConfigurationReport, QuarantineReport, RejectionReport
from kiteway.report.pools import EndpointHealth, EndpointReport, PoolReport, UpstreamTlsReport
from kiteway.report.problem import ObjectName, Problem
from kiteway.report.routing import ListenerReport
from kiteway.report.status import EnvoyReport, FilterReport, State, Status
from kiteway.report.supervisor import ChildState, Phase, SupervisorState
from tests.support.examples import examples

FORGED = "FORGED: all is well"
# Terminal escapes (7 and 8 bit), line ends of all kinds, bidirectional overrides, invisible ones, a byte that is no text,
# and the markup of the library that prints.
HOSTILE = (
    f"\n{FORGED}\r{FORGED}\x85{FORGED}\u2028{FORGED}\x1b[2J\x1b]0;title\x07\x9b31m\u202e\u2066\u200b\ufeff\udcff\x00\x7f"
    "[red]x[/red][/][link=http://x]"
)
TEXT = (
    st.text(max_size=20)
    | st.sampled_from([HOSTILE, f"a{HOSTILE}"])
    | st.builds("{}{}".format, st.text(), st.just(HOSTILE))
)


def assert_harmless(shown: str) -> None:
    """Fail if a terminal would obey something, or if a line begins as the hostile text wants it to."""
    for line in shown.split("\n"):
        assert line == printable(line)
        assert not line.startswith(FORGED)


@contextlib.contextmanager
def captured() -> Iterator[io.StringIO]:
    """Capture both outputs, as bytes that are written to a terminal would be."""
    into = io.StringIO()
    with contextlib.redirect_stdout(into), contextlib.redirect_stderr(into):
        yield into


@given(TEXT)
def test_printable_is_one_line_without_control_characters(text: str) -> None:
    """The result is printable and encodable, and printable text does not change."""
    shown = printable(text)
    assert shown.isprintable()
    assert shown.encode().decode() == shown
    assert printable(shown) == shown
    if text.isprintable():
        assert shown == text


def test_printable_shows_what_is_there() -> None:
    """Escapes are Python's; scripts other than Latin are printed unchanged."""
    assert printable("a\tb\nc\x1b[1m\x9b\u202e\udcff\U000e0001") == r"a\tb\nc\x1b[1m\x9b\u202e\udcff\U000e0001"
    assert printable("集合 é ✓ C:\\temp") == "集合 é ✓ C:\\temp"


@pytest.mark.parametrize("form", [Output.JSON, Output.YAML])
@given(value=st.dictionaries(TEXT, TEXT | st.lists(TEXT, max_size=2), max_size=3))
def test_programs_read_exactly_what_is_there(form: Output, value: dict[str, Any]) -> None:
    """JSON and YAML preserve every character, and contain none that controls a terminal."""
    if form is Output.YAML and any("\ud800" <= each <= "\udfff" for each in json.dumps(value, ensure_ascii=False)):
        return  # YAML has no lone surrogates
    with captured() as shown:
        emit(value, form)
    assert_harmless(shown.getvalue())
    read = json.loads if form is Output.JSON else yaml.safe_load
    assert read(shown.getvalue()) == value


@given(TEXT, TEXT, TEXT)
def test_diagnostics_and_errors_stay_lines_of_their_own(message: str, name: str, file: str) -> None:
    """A diagnostic is one line and its fix another, whatever object, place and message contain."""
    diagnostic = Diagnostic(
        Severity.ERROR, "Reason", message, "Do it.", ObjectRef("Ingress", name, name), Position(file, 1, 2), message
    )
    with captured() as shown:
        print_diagnostics([diagnostic])
        fail(message)
    assert_harmless(shown.getvalue())
    assert shown.getvalue().count("\n") == 2 + 1 + message.count("\n")


def hostile_manifests(text: str) -> str:
    """Return manifests with ``text`` wherever the API takes any."""
    ingress = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {
            "name": text,
            "annotations": {
                "kubernetes.io/ingress.global-static-ip-name": text,
                "kiteway.io/client-ca-secret": text,
                "networking.gke.io/v1beta1.FrontendConfig": text,
                "networking.gke.io/managed-certificates": text,
            },
        },
        "spec": {
            "tls": [{"secretName": text}],
            "rules": [
                {
                    "host": host,
                    "http": {
                        "paths": [
                            {
                                "path": f"/{text}",
                                "pathType": "Prefix",
                                "backend": {"service": {"name": text, "port": {"name": text}}},
                            },
                            {
                                "path": "/",
                                "pathType": text,
                                "backend": {"service": {"name": "s", "port": {"number": 1}}},
                            },
                        ]
                    },
                }
                for host in ("a.example.com", text)
            ],
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "s",
            "annotations": {
                "cloud.google.com/backend-config": text,
                "cloud.google.com/app-protocols": text,
                text: text,
            },
        },
        "spec": {"ports": [{"port": 1, "name": text}], text: text},
    }
    valid = f"""
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: valid, annotations: {{kiteway.io/client-ca-secret: {json.dumps(text)}}}}}
spec:
  rules:
  - host: b.example.com
    http:
      paths:
      - path: {json.dumps("/" + text)}
        pathType: ImplementationSpecific
        backend: {{service: {{name: valid, port: {{number: 1}}}}}}
      - path: /*
        pathType: ImplementationSpecific
        backend: {{service: {{name: valid, port: {{number: 1}}}}}}
  tls: [{{secretName: none}}]
---
apiVersion: v1
kind: Service
metadata:
  name: valid
  annotations:
    cloud.google.com/app-protocols: '{{"one":"HTTP2"}}'
    kiteway.io/backend-ca-secret: {json.dumps(text)}
    kiteway.io/backend-client-certificate-secret: {json.dumps(text)}
spec: {{ports: [{{name: one, port: 1}}]}}
---
"""
    other = {"apiVersion": text, "kind": text, "metadata": {"name": text}}
    return valid + yaml.safe_dump_all([ingress, service, other])


@given(
    text=st.just(HOSTILE.replace("\udcff", "").replace("\x00", "")) | st.text(st.characters(codec="utf-8"), min_size=1)
)
@examples(15)
def test_text_of_manifests_is_printed_as_plain_text(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """`plan`, `doctor` and `cert list` print names, paths, annotations and file names as plain text."""
    folder = tmp_path_factory.mktemp("m")
    file = folder / f"{FORGED}\n{FORGED}\x1b[2J.yaml"
    file.write_text(hostile_manifests(text))
    for arguments in (["plan", "-f"], ["doctor", "-f"], ["cert", "list", "-f"]):
        for given_path in (file, folder):
            done = CliRunner().invoke(app, [*arguments, str(given_path)])
            assert done.exit_code in {0, 1}, (done.output, done.exception)
            assert_harmless(done.output)


def test_text_of_the_status_is_printed_as_plain_text() -> None:
    """Every string of the status may be a tenant's; `kiteway status` prints all of them as plain text."""
    text = HOSTILE
    with captured() as shown:
        print_status(_hostile_status(text))
    assert_harmless(shown.getvalue())
    assert "[red]x[/red]" in shown.getvalue()


def _cache(text: str) -> CacheReport:
    counts = CacheCounts(
        hit=1,
        joined=1,
        miss=1,
        bypass={text: 1},
        share=0.5,
        bytes=1,
        entries=1,
        generation=1,
        closed=True,
        sample_age=1.0,
        headers=(text,),
    )
    return CacheReport(on=True, policy=text, memory=1, counts=counts)


def _hostile_status(text: str) -> Status:
    """Return a status in which each string is ``text``."""
    now = dt.datetime.now(dt.UTC)
    endpoint = EndpointReport(
        address=text, healthy=False, health=EndpointHealth.FAILING, check=text, check_fails=True, why=text
    )
    return Status(
        version=text,
        state=State.NOT_READY,
        reasons=(text,),
        ready=False,
        reason=text,
        supervisor=SupervisorState(1, now, Phase.RUNNING, {text: ChildState(1, now, 1, text)}),
        envoy=EnvoyReport(reachable=True, version=text),
        filter=FilterReport(loaded=False, reason=text),
        configuration=ConfigurationReport(
            text,
            (RejectionReport(now, text, (text,), text),),
            (QuarantineReport(text, text, now, served=True),),
            (text,),
        ),
        listeners=(ListenerReport(ListenerProtocol.HTTP, text, 1),),
        certificates=(
            ServedCertificate(
                name=text,
                names=(text,),
                not_before=now,
                not_after=now,
                days_left=1,
                key_type=text,
                issuer=text,
                self_signed=False,
                fingerprint=text,
                chain=(),
                problems=(CertificateProblem(text, text, text),),
                source=text,
                served_for=(text,),
                temporary=False,
            ),
        ),
        managed_certificates=(
            ManagedCertificateReport(
                name=text,
                object=ObjectName(text, text, text),
                certificate_name=text,
                certificate_status=IssuanceStatus.PROVISIONING,
                domain_status=(DomainReport(text, DomainStatus.PROVISIONING),),
                message=text,
                fix=text,
                waiting_for=text,
                next_attempt=now,
            ),
        ),
        pools=(
            PoolReport(
                name=text,
                protocol=BackendProtocol.HTTP,
                rest=True,
                endpoints=(endpoint, msgspec.structs.replace(endpoint, why="")),
                tls=UpstreamTlsReport(verified=False, how=text, problems=(text,)),
                keepalive_seconds=6.0,
                cache=_cache(text),
            ),
            PoolReport(
                name=text,
                protocol=BackendProtocol.HTTP,
                rest=True,
                endpoints=(),
                tls=UpstreamTlsReport(verified=False, how=text),
                keepalive_seconds=6.0,
                cache=CacheReport(why=text, policy=text),
            ),
        ),
        diagnostics=(
            Problem(
                severity=Severity.ERROR,
                reason=text,
                object=ObjectName(text, text, text),
                position=Position(text, 1, 1),
                path=text,
                message=text,
                fix=text,
            ),
        ),
    )


def test_text_of_gke_and_verify_is_printed_as_plain_text() -> None:
    """Answers of a cluster and a server are printed as plain text."""
    text = HOSTILE
    step = Step(text, text, StepState.TODO, text, Effect(Impact.NONE, text), text, f"+{text}", (Command((text,)),))
    failure = Failure(FailureReason.TCP, text, text)
    report = VerifyReport(
        verified=False,
        address=text,
        server_name=text,
        steps=(VerifyStep(text, False, 0.1, text),),
        versions=Versions(text, text),
        failure=failure,
        leftover=text,
    )
    verify = importlib.import_module("kiteway.cli.verify")
    with captured() as shown:
        print_plan(Plan((step,), (Diagnostic(Severity.NOTE, "Reason", text),)))
        verify._print(report, Output.TABLE)
        verify._print(msgspec.structs.replace(report, failure=None, differences=(text,)), Output.TABLE)
    assert_harmless(shown.getvalue())
    assert "[red]x[/red]" in shown.getvalue()
