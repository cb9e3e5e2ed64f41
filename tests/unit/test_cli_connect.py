"""How `kiteway up` says that clients connect."""

from __future__ import annotations

import ast
import datetime as dt
from pathlib import Path

import msgspec
from cryptography import x509

from kiteway.certificates.create import create_self_signed
from kiteway.certificates.describe import describe
from kiteway.cli.connect import connecting
from kiteway.model import HTTPMode, ListenerProtocol
from kiteway.report.certificates import ServedCertificate
from kiteway.report.routing import HostReport, ListenerReport
from kiteway.report.status import State, Status


def _status(*hosts: str, address: str = "127.0.0.1", listener: ListenerProtocol = ListenerProtocol.HTTPS) -> Status:
    return Status(
        version="1",
        state=State.READY,
        ready=True,
        listeners=(ListenerReport(listener, address, 8443),),
        hosts=tuple(HostReport(host, "default/a", https=True, http=HTTPMode.OFF, routes=()) for host in hosts),
    )


def test_localhost_needs_no_other_name() -> None:
    """With `--to` the file that Kiteway made is named."""
    said = connecting(_status("*", "localhost"), Path("/data/tls.crt"))
    assert 'MilvusClient("https://localhost:8443", server_pem_path="/data/tls.crt")\n' in said


def test_a_host_that_dns_may_not_know_is_given_as_server_name() -> None:
    """A client on this machine connects to the listener, and checks the name of the host."""
    said = connecting(_status("milvus.example.com", address="0.0.0.0"), None)
    assert '"https://127.0.0.1:8443", server_pem_path="ca.crt", server_name="milvus.example.com")' in said
    said = connecting(_status("milvus.example.com", address="::"), None)
    assert '"https://[::1]:8443"' in said


def test_many_hosts_are_counted() -> None:
    """One line does not become pages."""
    assert "serves a0, a1, a2, a3, a4 and 3 more; connect" in connecting(_status(*(f"a{n}" for n in range(8))), None)


def test_without_https_or_a_host_nothing_is_said() -> None:
    """No client can do what would be said; a wildcard is no name."""
    assert connecting(_status("*", "*.example.com"), None) == ""
    assert connecting(_status("localhost", listener=ListenerProtocol.HTTP), None) == ""


def test_where_every_host_is_served_the_names_are_those_of_the_certificate() -> None:
    """`--tls` without `--host` names no host, and its clients connect by a name of its certificate."""
    chain = create_self_signed(["*.example.com", "milvus.example.com"]).certificate
    facts = describe("c", x509.load_pem_x509_certificates(chain), dt.datetime.now(dt.UTC))
    served = ServedCertificate(**msgspec.structs.asdict(facts), source="", served_for=(), temporary=False)
    said = connecting(msgspec.structs.replace(_status("*"), certificates=(served,)), Path("/tls.crt"))
    assert said.startswith("serves milvus.example.com; connect with")
    assert 'server_pem_path="/tls.crt", server_name="milvus.example.com")' in said
    for status in (_status("a.test"), _status("*.a.test"), _status("*")):
        beside = msgspec.structs.replace(served, temporary=status.hosts[0].host == "*")
        assert "milvus.example.com" not in connecting(msgspec.structs.replace(status, certificates=(beside,)), None)


def test_the_line_is_python_whatever_the_path_is() -> None:
    """A folder may have a quotation mark or a backslash in its name."""
    path = '/data/the "new" \\one/ü/tls.crt'
    (line,) = [each for each in connecting(_status("localhost"), Path(path)).split("\n") if "MilvusClient(" in each]
    call = ast.parse(line.strip().removeprefix("client = "), mode="eval").body
    assert isinstance(call, ast.Call)
    assert [ast.literal_eval(each.value) for each in call.keywords] == [path]
