"""
Each rule about an address: facts for which it reports a problem, with the text, and similar facts for which
it does not.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import socket
from typing import Any

import pytest

from kiteway.doctor import RULES, AddressFacts, AddressTarget, Finding, Result, Scope, examine
from kiteway.doctor.caa import CaaResult
from kiteway.probe import Endpoint, ProbeFailure, Reason, TlsOptions
from kiteway.probe.certificate import CertificateFacts
from kiteway.probe.dns import DnsResult
from kiteway.probe.grpc import GrpcResult
from kiteway.probe.h2 import H2Result
from kiteway.probe.http import HttpResult
from kiteway.probe.milvus import MilvusResult
from kiteway.probe.tcp import TcpResult
from kiteway.probe.tls import TlsResult

NOW = dt.datetime(2026, 1, 15, tzinfo=dt.UTC)
HOST = "my-release.milvus.io"
LEAF = CertificateFacts(
    subject=f"CN={HOST}",
    issuer="CN=Intermediate",
    common_name=HOST,
    names=(HOST,),
    not_before=NOW - dt.timedelta(days=1),
    not_after=NOW + dt.timedelta(days=90),
)
INTERMEDIATE = dataclasses.replace(LEAF, subject="CN=Intermediate", issuer="CN=Root", common_name=None, names=())
TLS = TlsResult("TLSv1.3", "h2", (LEAF, INTERMEDIATE))
OK = GrpcResult(status=0, http_status=200)
MILVUS = MilvusResult(OK, version="v2.6.1")
UNAUTHENTICATED = MilvusResult(GrpcResult(status=16, message="auth check failure"))
REFUSED = ProbeFailure(Reason.CONNECTION_REFUSED, "192.0.2.7:443 refused the TCP connection")
CLOSED = TcpResult(None, (), REFUSED)
OPEN = TcpResult("192.0.2.7:443", ())


def _dns(*addresses: str, failure: ProbeFailure | None = None) -> DnsResult:
    six = tuple(address for address in addresses if ":" in address)
    four = tuple(address for address in addresses if ":" not in address)
    return DnsResult(four, six, tuple((socket.AF_INET, (address, 443)) for address in addresses), failure)


GOOD = AddressFacts(
    target=AddressTarget(endpoint=Endpoint(HOST, 443), tls=TlsOptions(), token="root:Milvus"),
    now=NOW,
    dns=_dns("192.0.2.7", "2001:db8::7"),
    tcp=OPEN,
    tls=TLS,
    old_tls=(),
    h2=H2Result({3: 100}, "h2"),
    connect=MILVUS,
    version=MILVUS,
    serving=(True, OK),
    anonymous=UNAUTHENTICATED,
    wrong_token=UNAUTHENTICATED,
    rest=HttpResult(status=401, content_type="application/json"),
    metrics=HttpResult(status=404, content_type="application/json"),
    http=HttpResult(status=301),
    healthz=HttpResult(failure=REFUSED),
    internal=CLOSED,
)


def _tls(**changes: Any) -> dict[str, Any]:
    return {"tls": dataclasses.replace(TLS, **changes)}


def _leaf(**changes: Any) -> dict[str, Any]:
    return _tls(chain=(dataclasses.replace(LEAF, **changes), INTERMEDIATE))


def _target(**changes: Any) -> AddressTarget:
    return dataclasses.replace(GOOD.target, **changes)


def _failing(reason: Reason, chain: tuple[CertificateFacts, ...]) -> dict[str, Any]:
    return _tls(failure=ProbeFailure(reason, "refused"), chain=chain)


SELF_SIGNED = dataclasses.replace(LEAF, issuer=LEAF.subject)
NOT_GRPC = MilvusResult(
    GrpcResult(server="nginx", failure=ProbeFailure(Reason.NOT_GRPC, "the answer is not gRPC: HTTP 404, text/html"))
)

# Rule, facts that make it fire, its words, facts that nearly do.
CASES: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    (
        "CERT_DNS",
        {"dns": _dns(failure=ProbeFailure(Reason.NAME_NOT_FOUND, f"{HOST} has no address record"))},
        "has no address record",
        {"dns": _dns("2001:db8::7")},
    ),
    (
        "CERT_AAAA",
        {"unreachable": (("2001:db8::7", ProbeFailure(Reason.UNREACHABLE, "no route")),)},
        "the AAAA record leads to 2001:db8::7",
        {"dns": _dns("192.0.2.7")},
    ),
    (
        "CERT_CAA",
        {"caa": CaaResult("milvus.io", ("digicert.com",))},
        "the CAA records of milvus.io allow digicert.com",
        {"caa": CaaResult("milvus.io", ("digicert.com", "letsencrypt.org"))},
    ),
    ("TCP_CONNECT", {"tcp": CLOSED}, "refused the TCP connection", {"tcp": TcpResult("192.0.2.7:443", (REFUSED,))}),
    (
        "TLS_HANDSHAKE",
        {"tls": TlsResult(failure=ProbeFailure(Reason.NOT_TLS, "the server does not speak TLS on this port"))},
        "does not speak TLS",
        _failing(Reason.EXPIRED, TLS.chain),
    ),
    ("TLS_OLD_VERSIONS", {"old_tls": ("TLSv1.1",)}, "it accepts TLSv1.1", _tls(version="TLSv1.2")),
    (
        "CERT_CHAIN",
        _failing(Reason.UNKNOWN_CA, (LEAF,)),
        "is sent alone, without the certificate of its issuer",
        _failing(Reason.EXPIRED, (LEAF, INTERMEDIATE)),
    ),
    ("CERT_SAN", _leaf(names=()), "only as its common name", _leaf(common_name=None)),
    (
        "CERT_HOST",
        _leaf(names=("other.milvus.io",)),
        f"the certificate is not for {HOST}; it is for other.milvus.io",
        _leaf(names=("*.MILVUS.io",)),
    ),
    (
        "CERT_VALIDITY",
        _leaf(not_after=NOW),
        "expired on 2026-01-15",
        _leaf(not_after=NOW + dt.timedelta(days=22)),
    ),
    ("ALPN_H2", _tls(alpn="http/1.1"), "ALPN chooses http/1.1", _tls(version="TLSv1.2")),
    (
        "HTTP2_SETTINGS",
        {"h2": H2Result(failure=ProbeFailure(Reason.NOT_HTTP2, "the server does not speak HTTP/2"))},
        "does not speak HTTP/2",
        {"h2": H2Result({})},
    ),
    (
        "GRPC_DIRECT",
        {"connect": NOT_GRPC},
        "Connect: the answer is not gRPC: HTTP 404, text/html (server: nginx)",
        {"serving": (False, GrpcResult(status=12, message="unknown service"))},
    ),
    (
        "HEALTHZ_RACE",
        {"tcp": CLOSED, "healthz": HttpResult(status=200)},
        "answers /healthz with OK, but the serving port does not",
        {"healthz": HttpResult(status=200)},
    ),
    (
        "MANAGEMENT_PORT_OPEN",
        {"internal": OPEN},
        "port 19529 of the address can be reached",
        {"healthz": HttpResult(failure=REFUSED)},
    ),
    (
        "MANAGEMENT_THROUGH_BALANCER",
        {"metrics": HttpResult(status=200, body="# HELP go_gc_duration_seconds\nmilvus_proxy_req_count 1\n")},
        "shows Milvus's metrics to everyone",
        {"metrics": HttpResult(status=200, body="<html>a web page</html>")},
    ),
    (
        "REST_SAME_PORT",
        {"rest": HttpResult(status=415, body='invalid gRPC request content-type "", application/grpc expected')},
        "as if it were gRPC",
        {"rest": HttpResult(status=404, content_type="text/plain", body="404 page not found")},
    ),
    (
        "AUTH_OPEN",
        {"anonymous": MILVUS},
        "Milvus answers calls without credentials",
        {"anonymous": UNAUTHENTICATED, "version": MILVUS},
    ),
    (
        "AUTH_TOKEN",
        {"version": UNAUTHENTICATED},
        "Milvus refuses the token: auth check failure",
        {"anonymous": UNAUTHENTICATED, "version": MILVUS},
    ),
    (
        "HTTP_80_OPEN",
        {"http": HttpResult(status=200)},
        "answers in plaintext with 200",
        {"http": HttpResult(status=308)},
    ),
]

# Further ways in which a rule fires.
MORE: list[tuple[str, dict[str, Any], str]] = [
    ("CERT_CAA", {"caa": CaaResult("milvus.io", ("",))}, "allow nobody"),
    ("CERT_CAA", {"caa": CaaResult("milvus.io", ())}, "allow nobody"),
    ("CERT_CHAIN", _failing(Reason.SELF_SIGNED, (SELF_SIGNED,)), "is self-signed"),
    ("CERT_CHAIN", _tls(chain=(LEAF, SELF_SIGNED)), "not sent in order"),
    ("CERT_VALIDITY", _leaf(not_after=NOW + dt.timedelta(days=20)), "expires in 20 days"),
    ("CERT_VALIDITY", _leaf(not_before=NOW + dt.timedelta(hours=1)), "valid only from 2026-01-15 01:00 UTC"),
    (
        "GRPC_DIRECT",
        {"version": MilvusResult(OK, code=1, reason="proxy not healthy")},
        "Milvus says: proxy not healthy",
    ),
    (
        "GRPC_DIRECT",
        {"connect": MilvusResult(GrpcResult(status=7, message="kiteway: no Ingress routes the host x"))},
        "Connect is answered by Kiteway itself, without Milvus: no Ingress routes the host x.",
    ),
    (
        "GRPC_DIRECT",
        {"connect": MilvusResult(OK, code=65, reason="kiteway: no Ingress routes the host x.")},
        "Connect is answered by Kiteway itself, without Milvus: no Ingress routes the host x.",
    ),
    (
        "GRPC_DIRECT",
        {"connect": MilvusResult(dataclasses.replace(NOT_GRPC.call, http_status=301, location=f"https://{HOST}/"))},
        f"Connect is redirected to https://{HOST}/, which",
    ),
    ("HEALTHZ_RACE", {"healthz": HttpResult(status=500)}, "answers /healthz with 500"),
    ("MANAGEMENT_PORT_OPEN", {"healthz": HttpResult(status=200)}, "port 9091 of the address can be reached"),
    (
        "REST_SAME_PORT",
        {"rest": HttpResult(status=501, body='{"message":"kiteway: no REST here"}')},
        "answered by Kiteway itself: no REST here",
    ),
    (
        "REST_SAME_PORT",
        {"rest": HttpResult(status=404, body='{"code":404,"message":"kiteway: no Ingress routes the host x."}')},
        "answered by Kiteway itself: no Ingress routes the host x.",
    ),
    ("AUTH_OPEN", {"wrong_token": MILVUS}, "a call with a wrong password is answered"),
]


def _failures(rule_id: str, facts: AddressFacts) -> tuple[list[Finding], list[Finding]]:
    rule = next(rule for rule in RULES if rule.id == rule_id)
    findings = list(rule.check(facts))
    return [finding for finding in findings if finding.result is Result.FAILED], findings


def test_every_rule_has_a_case() -> None:
    """Every rule about an address has a case here, and every case a rule."""
    assert sorted(case[0] for case in CASES) == sorted(rule.id for rule in RULES if rule.scope is Scope.ADDRESS)


@pytest.mark.parametrize(
    ("rule", "changes", "words"),
    [case[:3] for case in CASES] + MORE,
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_rule_fires(rule: str, changes: dict[str, Any], words: str) -> None:
    """The report names the problem and says what to do."""
    failures, _ = _failures(rule, dataclasses.replace(GOOD, **changes))
    assert failures
    assert any(words in failure.message for failure in failures), [failure.message for failure in failures]
    assert all(failure.fix.endswith(".") and failure.message.endswith(".") for failure in failures)


@pytest.mark.parametrize(("rule", "near_miss"), [(case[0], case[3]) for case in CASES])
def test_a_rule_stays_silent(rule: str, near_miss: dict[str, Any]) -> None:
    """Similar facts without the problem pass, and are not skipped."""
    failures, findings = _failures(rule, dataclasses.replace(GOOD, **near_miss))
    assert failures == []
    assert [finding.result for finding in findings] == [Result.PASSED] or rule == "HEALTHZ_RACE"


def test_a_good_address_passes() -> None:
    """The facts from which the cases start pass every rule, so each case shows its own problem."""
    report = examine(Scope.ADDRESS, GOOD)
    assert [c.finding.message for _, checks in report.checks for c in checks if c.severity] == []


def test_checks_above_a_failed_layer_are_skipped() -> None:
    """If the name does not resolve, every rule above DNS is skipped."""
    failure = ProbeFailure(Reason.NAME_NOT_FOUND, "no such name")
    report = examine(Scope.ADDRESS, AddressFacts(target=GOOD.target, now=NOW, dns=_dns(failure=failure)))
    results = {check.rule.id: check.finding.result for _, checks in report.checks for check in checks}
    assert results.pop("CERT_DNS") is Result.FAILED
    assert results.pop("CERT_CAA") is Result.PASSED
    assert set(results.values()) == {Result.SKIPPED}


def test_a_refusal_on_port_80_is_no_open_port() -> None:
    """Where Kiteway answers port 80 with a refusal, nothing is served in plaintext."""
    refusal = HttpResult(status=404, body='{"code":404,"message":"kiteway: host x is not served in plaintext."}')
    _, findings = _failures("HTTP_80_OPEN", dataclasses.replace(GOOD, http=refusal))
    assert [finding.result for finding in findings] == [Result.PASSED]


def test_a_loopback_address_says_nothing_of_the_outside() -> None:
    """On loopback an open 9091 is no finding, because no other machine reaches it."""
    facts = dataclasses.replace(GOOD, dns=_dns("127.0.0.1", "::1"), healthz=HttpResult(status=200))
    _, findings = _failures("MANAGEMENT_PORT_OPEN", facts)
    assert [finding.result for finding in findings] == [Result.SKIPPED]


def test_a_tls_server_in_plaintext_is_named_once() -> None:
    """The handshake's rule says it, and no rule blames the server for what it did with plaintext."""
    facts = dataclasses.replace(GOOD, target=_target(secure=False), connect=NOT_GRPC, h2=H2Result(), speaks_tls=True)

    failures, _ = _failures("TLS_HANDSHAKE", facts)
    assert [finding.message for finding in failures] == [
        "the server speaks TLS on this port, and the address is checked in plaintext."
    ]
    for rule in ("GRPC_DIRECT", "HTTP2_SETTINGS", "REST_SAME_PORT"):
        assert [finding.result for finding in _failures(rule, facts)[1]] == [Result.SKIPPED], rule


@pytest.mark.parametrize(
    ("call", "fix"),
    [
        (GrpcResult(status=7, message="kiteway: no Ingress routes the host x."), "Connect by a host and path"),
        (GrpcResult(status=14, message="kiteway: no connection to an endpoint was made."), "The route is there"),
        (GrpcResult(status=7, message="kiteway: the Service has no healthy endpoint."), "The route is there"),
    ],
)
def test_what_to_do_depends_on_where_a_call_ends(call: GrpcResult, fix: str) -> None:
    """A call that finds its Service and no Milvus behind it needs no other host."""
    [found], _ = _failures("GRPC_DIRECT", dataclasses.replace(GOOD, connect=MilvusResult(call)))
    assert found.fix.startswith(fix)


def test_milvus_s_own_health_port_is_named() -> None:
    """A server with metrics and without gRPC is Milvus's port 9091, and no balancer that leads there."""
    facts = dataclasses.replace(GOOD, metrics=HttpResult(status=200, body="# HELP milvus_x"), connect=NOT_GRPC)

    failures, _ = _failures("MANAGEMENT_THROUGH_BALANCER", facts)

    assert "this is Milvus's port for health and metrics (9091)" in failures[0].message
