"""The facts about an address: real servers on loopback, each wrong in one way."""

from __future__ import annotations

import asyncio
import datetime as dt
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import grpc
import pytest

from kiteway.doctor import AddressFacts, AddressTarget, Result, Scope, examine, look_at_address
from kiteway.doctor.caa import CaaResult, find_caa
from kiteway.doctor.tls_versions import accepted_old_versions
from kiteway.probe import Endpoint, TlsOptions, TrustFileError
from tests.unit.probe_servers import (
    CONNECT,
    GET_VERSION,
    HEALTH_CHECK,
    HOST,
    VERSION_ANSWER,
    Authority,
    grpc_server,
    http1,
    self_signed,
    serving,
    tls_server,
)

SERVING = b"\x08\x01"
MILVUS: dict[str, bytes | tuple[grpc.StatusCode, str]] = {
    GET_VERSION: VERSION_ANSWER,
    CONNECT: b"",
    HEALTH_CHECK: SERVING,
}


def _look(port: int, ca: Path | None = None, *, secure: bool = True, token: str | None = None) -> AddressFacts:
    tls = TlsOptions(server_name=HOST, ca=ca) if secure else TlsOptions()
    target = AddressTarget(endpoint=Endpoint("127.0.0.1", port), secure=secure, tls=tls, token=token, timeout=2)
    return asyncio.run(look_at_address(target, dt.datetime.now(dt.UTC)))


def _results(facts: AddressFacts) -> dict[str, Result]:
    return {c.rule.id: c.finding.result for _, checks in examine(Scope.ADDRESS, facts).checks for c in checks}


def test_a_milvus_with_tls(tmp_path: Path) -> None:
    """Name, chain, ALPN, HTTP/2 and the three calls pass; that Milvus requires no credentials is reported."""
    authority = Authority(tmp_path)
    with grpc_server(MILVUS, authority.grpc_credentials()) as port:
        results = _results(_look(port, authority.ca_file))
    passed = {"CERT_HOST", "CERT_CHAIN", "CERT_SAN", "CERT_VALIDITY", "ALPN_H2", "HTTP2_SETTINGS", "GRPC_DIRECT"}
    assert {rule for rule, result in results.items() if result is Result.PASSED} >= passed | {"TLS_OLD_VERSIONS"}
    assert results["AUTH_OPEN"] is Result.FAILED


def test_a_milvus_without_tls() -> None:
    """In plaintext the calls are made, and checks of TLS are skipped."""
    with grpc_server(MILVUS) as port:
        results = _results(_look(port, secure=False))
    assert results["GRPC_DIRECT"] is Result.PASSED
    assert results["CERT_CHAIN"] is results["ALPN_H2"] is results["TLS_HANDSHAKE"] is Result.SKIPPED


class _Recorder(grpc.GenericRpcHandler):
    """Answers nothing and remembers the authorization of every call."""

    def __init__(self) -> None:
        self.seen: list[str | bytes] = []

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> None:
        """Remember, and leave the call unanswered."""
        self.seen += [value for key, value in handler_call_details.invocation_metadata or () if key == "authorization"]


@pytest.mark.parametrize("trusted", [True, False])
def test_the_token_goes_only_where_the_certificate_is_in_order(tmp_path: Path, *, trusted: bool) -> None:
    """A server that is not trusted gets only the invented wrong token, never the user's."""
    authority, stranger = Authority(tmp_path), tmp_path / "stranger"
    stranger.mkdir()
    recorder = _Recorder()
    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool)
        server.add_generic_rpc_handlers((recorder,))
        port = server.add_secure_port("127.0.0.1:0", authority.grpc_credentials())
        server.start()
        try:
            facts = _look(port, (authority if trusted else Authority(stranger)).ca_file, token="root:Milvus")
        finally:
            server.stop(None).wait()
    # base64 of root:Milvus
    assert ("cm9vdDpNaWx2dXM=" in recorder.seen) is trusted
    assert facts.trusted is trusted
    assert recorder.seen


def test_the_guides_certificate_is_refused_with_its_reasons(tmp_path: Path) -> None:
    """
    For a self-signed certificate with a CN only, the chain fails, the missing SAN is a warning, and the name
    matches the CN.
    """
    certificate, key = self_signed(tmp_path, names=())
    credentials = grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
    with grpc_server(MILVUS, credentials) as port:
        strange, given = _results(_look(port, Authority(tmp_path).ca_file)), _results(_look(port, certificate))
    assert strange["CERT_CHAIN"] is Result.FAILED
    assert given["CERT_CHAIN"] is given["CERT_HOST"] is Result.PASSED
    assert given["CERT_SAN"] is Result.FAILED


def test_without_alpn(tmp_path: Path) -> None:
    """The handshake shows a TLS server without ALPN."""
    authority = Authority(tmp_path)
    with tls_server(authority.context(alpn=())) as port:
        assert _results(_look(port, authority.ca_file))["ALPN_H2"] is Result.FAILED


def test_a_web_server_is_no_milvus() -> None:
    """With an HTTP/1.1 server the checks of HTTP/2 and the calls fail, without an exception."""

    async def look() -> AddressFacts:
        async with serving(http1("404 Not Found", b"<html>")) as port:
            target = AddressTarget(endpoint=Endpoint("127.0.0.1", port), secure=False, tls=TlsOptions(), timeout=2)
            return await look_at_address(target, dt.datetime.now(dt.UTC))

    results = _results(asyncio.run(look()))
    assert results["HTTP2_SETTINGS"] is results["GRPC_DIRECT"] is Result.FAILED


def test_nothing_listens() -> None:
    """With a closed port TCP_CONNECT fails and later checks are skipped."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    results = _results(_look(port))
    assert results["TCP_CONNECT"] is Result.FAILED
    assert results["GRPC_DIRECT"] is results["CERT_CHAIN"] is Result.SKIPPED


def test_an_unreadable_ca_file_is_an_error_before_any_probe(tmp_path: Path) -> None:
    """An unreadable CA file is a usage error, not a finding about the address."""
    with pytest.raises(TrustFileError, match="cannot be read"):
        _look(1, tmp_path / "none.pem")


@pytest.mark.parametrize(
    ("option", "accepted"),
    [("-tls1", ("TLSv1",)), ("-tls1_1", ("TLSv1.1",)), ("-tls1_2", ()), ("-tls1_3", ())],
)
def test_withdrawn_tls_versions_are_found(
    tmp_path: Path, free_port: object, option: str, accepted: tuple[str, ...]
) -> None:
    """A real OpenSSL server with one version: TLS 1.0 and 1.1 are reported only if the server accepts them."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl on this machine")
    certificate, key = self_signed(tmp_path)
    assert callable(free_port)
    port = free_port()
    suites = ["-cipher", "ALL:@SECLEVEL=0"]
    server = subprocess.Popen(
        [openssl, "s_server", "-accept", f"127.0.0.1:{port}", "-cert", certificate, "-key", key, option, *suites],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert server.stdout is not None
        while line := server.stdout.readline():
            if line.startswith(b"ACCEPT"):
                break
        found = asyncio.run(accepted_old_versions(Endpoint("127.0.0.1", port), HOST, timeout=5))
    finally:
        server.kill()
        server.communicate()
    assert found == accepted


@pytest.fixture
def nameserver() -> Iterator[str]:
    """Serve CAA records of milvus.io on a free UDP port; broken.example gets SERVFAIL."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))

    def answer() -> None:
        while True:
            try:
                data, peer = server.recvfrom(4096)
            except OSError:
                return
            if data == b"end":
                return
            query = dns.message.from_wire(data)
            response = dns.message.make_response(query)
            name = query.question[0].name
            if name.to_text() == "milvus.io.":
                records = ('0 issue "LetsEncrypt.org; validationmethods=http-01"', '0 iodef "mailto:a@milvus.io"')
                response.answer.append(dns.rrset.from_text(name, 60, "IN", "CAA", *records))
            elif name.to_text() == "broken.example.":
                response.set_rcode(dns.rcode.SERVFAIL)
            elif name.to_text().startswith("none"):
                response.set_rcode(dns.rcode.NXDOMAIN)
            server.sendto(response.to_wire(), peer)

    thread = threading.Thread(target=answer)
    thread.start()
    yield f"127.0.0.1:{server.getsockname()[1]}"
    server.sendto(b"end", server.getsockname())
    thread.join()
    server.close()


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("my-release.milvus.io", CaaResult("milvus.io", ("letsencrypt.org",))),
        ("none.of.milvus.io", CaaResult("milvus.io", ("letsencrypt.org",))),
        ("other.example", CaaResult()),
    ],
)
def test_caa_records_hold_for_the_names_below(nameserver: str, host: str, found: CaaResult) -> None:
    """The records of the nearest parent count; if no parent has any, every CA may issue."""
    assert asyncio.run(find_caa(host, timeout=3, nameserver=nameserver)) == found


@pytest.mark.parametrize(
    "host",
    [
        "broken.example",
        "192.0.2.7",
        "localhost",
        "milvus",
        "milvus.test",
        "a..b",
        "x" * 64 + ".example",
        "\u2024.example",
    ],
)
def test_dns_failures_are_problems_not_exceptions(nameserver: str, host: str) -> None:
    """For a server's failure, an address and an invalid name the result says why the records are unknown."""
    assert asyncio.run(find_caa(host, timeout=1, nameserver=nameserver)).problem
