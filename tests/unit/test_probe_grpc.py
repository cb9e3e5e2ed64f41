"""Probes of HTTP/2, gRPC, HTTP and Milvus against good and bad servers."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiteway.probe import Endpoint, Reason, TlsOptions, milvus, protobuf
from kiteway.probe.grpc import probe_grpc
from kiteway.probe.h2 import probe_h2
from kiteway.probe.http import probe_http
from tests.support.accepting import Accepting
from tests.unit.probe_servers import (
    CONNECT,
    GET_VERSION,
    HEALTH_CHECK,
    HOST,
    VERSION_ANSWER,
    Authority,
    Handler,
    grpc_server,
    hang_up,
    http1,
    http2,
    serving,
    silence,
    tls_server,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Return a CA of the test's own."""
    return Authority(tmp_path)


def local(port: int) -> Endpoint:
    """A server on loopback."""
    return Endpoint("127.0.0.1", port)


async def test_http2_in_plaintext() -> None:
    """A gRPC server answers the preface with its SETTINGS."""
    with grpc_server({}) as port:
        seen = await probe_h2(local(port), None)
    assert seen.failure is None
    assert seen.settings is not None


async def test_http2_over_tls_with_a_name(authority: Authority) -> None:
    """The same over TLS, by ALPN, with the name in the certificate and a connection to loopback."""
    with grpc_server({}, authority.grpc_credentials()) as port:
        seen = await probe_h2(Endpoint(HOST, port, "127.0.0.1"), TlsOptions(ca=authority.ca_file))
    assert seen.failure is None
    assert seen.alpn == "h2"


@pytest.mark.parametrize(
    ("handler", "reason", "seconds"),
    [
        pytest.param(http1("400 Bad Request", b""), Reason.NOT_HTTP2, 30, id="http1"),
        pytest.param(hang_up, Reason.CLOSED, 30, id="closes"),
        pytest.param(silence, Reason.NO_ANSWER, 1, id="silent"),
    ],
)
async def test_what_is_not_http2(handler: Handler, reason: Reason, seconds: float) -> None:
    """HTTP/1.1, a closed connection and no answer are three reasons, for HTTP/2 and for a call."""
    async with serving(handler) as port:
        seen = await probe_h2(local(port), None, timeout=seconds)
        call = await probe_grpc(local(port), GET_VERSION, tls=None, timeout=seconds)
    assert seen.failure is not None
    assert seen.failure.reason is reason
    assert call.failure is not None
    assert call.failure.reason is reason


@pytest.mark.parametrize(
    ("beginning", "reason"),
    [
        pytest.param(b"", Reason.NOT_HTTP2, id="without SETTINGS"),
        pytest.param(b"\0\0\0\4\0\0\0\0\0", Reason.NO_ANSWER, id="after SETTINGS"),
    ],
)
async def test_frames_without_end_do_not_hold_the_event_loop(beginning: bytes, reason: Reason) -> None:
    """An endpoint that sends faster than a probe reads ends neither the probe's time limit nor other work."""
    ignored = b"\0\0\0\xf0\0\0\0\0\0"

    def flood(accepted: socket.socket) -> None:
        with contextlib.suppress(OSError):
            accepted.sendall(beginning)
            for _ in range(200):
                accepted.sendall(ignored * 4000)

    with Accepting(flood) as server:
        call = await probe_grpc(local(server.port), GET_VERSION, tls=None, timeout=0.5)
    assert call.failure is not None
    assert call.failure.reason is reason


async def test_get_version_reads_the_version() -> None:
    """``GetVersion`` of a Milvus gives its version."""
    with grpc_server({GET_VERSION: VERSION_ANSWER}) as port:
        seen = await milvus.get_version(local(port), tls=None)
    assert seen.ok
    assert seen.version == "v2.3.5"


async def test_a_call_over_tls(authority: Authority) -> None:
    """The same over TLS; with a name that is not in the certificate the probe fails."""
    with grpc_server({GET_VERSION: VERSION_ANSWER}, authority.grpc_credentials()) as port:
        named = TlsOptions(ca=authority.ca_file, server_name=HOST)
        assert (await milvus.get_version(local(port), tls=named)).version == "v2.3.5"
        seen = await milvus.get_version(local(port), tls=TlsOptions(ca=authority.ca_file))
    assert seen.call.failure is not None
    assert seen.call.failure.reason is Reason.NAME_MISMATCH


@pytest.mark.parametrize(
    "status",
    [grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED],
)
async def test_a_grpc_status_is_an_answer(status: grpc.StatusCode) -> None:
    """A status other than OK is a gRPC answer: the result has its name and its message."""
    with grpc_server({CONNECT: (status, "héllo: 50% of it")}) as port:
        seen = await milvus.connect(local(port), tls=None)
    assert not seen.ok
    assert seen.call.failure is None
    assert (seen.call.status_name, seen.call.message) == (status.name, "héllo: 50% of it")


async def test_an_unknown_method_is_unimplemented() -> None:
    """A gRPC server that is not Milvus says UNIMPLEMENTED."""
    with grpc_server({}) as port:
        seen = await milvus.get_version(local(port), tls=None)
    assert seen.call.status_name == "UNIMPLEMENTED"


async def test_a_404_page_is_not_grpc_and_keeps_its_origin() -> None:
    """The result of an HTML answer has its HTTP status, type and server, which a gRPC client drops."""
    headers = [(":status", "404"), ("server", "nginx/1.25"), ("content-type", "text/html")]
    async with serving(http2(headers, b"<html>")) as port:
        seen = await probe_grpc(local(port), GET_VERSION, tls=None)
    assert seen.failure is not None
    assert seen.failure.reason is Reason.NOT_GRPC
    assert (seen.http_status, seen.server, seen.content_type) == (404, "nginx/1.25", "text/html")
    assert seen.body == b"<html>"


async def test_milvus_s_own_status_is_read() -> None:
    """An OK answer with an error inside is not ok: code and reason are Milvus's."""
    status = b"\x12\x0enot ready: why" + b"\x18\x01"
    answer = b"\x0a" + bytes([len(status)]) + status
    with grpc_server({CONNECT: answer}) as port:
        seen = await milvus.connect(local(port), tls=None)
    assert seen.call.ok
    assert not seen.ok
    assert (seen.code, seen.reason) == (1, "not ready: why")


async def test_the_token_is_sent_as_milvus_wants_it() -> None:
    """The header ``authorization`` is base64 of the token without a scheme word."""
    seen: list[tuple[str, str | bytes]] = []

    class Spy(grpc.ServerInterceptor):
        def intercept_service(self, continuation, details):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            seen.extend(details.invocation_metadata)
            return continuation(details)

    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        server = grpc.server(pool, interceptors=[Spy()])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        await milvus.connect(local(port), tls=None, token="root:Milvus")
        server.stop(None).wait()
    assert ("authorization", "cm9vdDpNaWx2dXM=") in seen


@pytest.mark.parametrize(("answer", "serving_it"), [(b"\x08\x01", True), (b"\x08\x02", False), (b"", False)])
async def test_health_check_reads_serving(answer: bytes, *, serving_it: bool) -> None:
    """Only the answer SERVING counts as serving."""
    with grpc_server({HEALTH_CHECK: answer}) as port:
        assert (await milvus.is_serving(local(port), tls=None))[0] is serving_it


async def test_http_health_answers() -> None:
    """A GET gives status, server and the beginning of the body."""
    async with serving(http1("500 Internal Server Error", b"Not all components are healthy, 1/2")) as port:
        seen = await probe_http(local(port), "/healthz")
    assert seen.failure is None
    assert (seen.status, seen.server, seen.body) == (500, "nginx", "Not all components are healthy, 1/2")


async def test_what_a_server_says_of_itself_is_cut() -> None:
    """The text of a failure goes into the status, for each endpoint; a server's first line or certificate may have 100 kB."""
    async with serving(http1("\xff" * 60_000, b"")) as port:
        seen = await probe_http(local(port), "/healthz")
    assert seen.failure is not None
    assert len(seen.failure.detail) == 500
    assert seen.failure.detail.endswith("…")


async def test_http_body_is_bounded() -> None:
    """Only the beginning of a huge body is stored."""
    async with serving(http1("200 OK", b"x" * 1_000_000)) as port:
        seen = await probe_http(local(port), "/healthz")
    assert seen.status == 200
    assert len(seen.body) == 4096


async def test_https_health_answers_for_its_name(authority: Authority) -> None:
    """HTTPS connects to ``connect_to`` and sends the endpoint's name."""
    async with serving(http1("200 OK", b"OK"), authority.context(alpn=("http/1.1",))) as port:
        options = TlsOptions(ca=authority.ca_file)
        seen = await probe_http(Endpoint(HOST, port, "127.0.0.1"), "/healthz", tls=options)
        wrong = await probe_http(Endpoint("other.example", port, "127.0.0.1"), "/healthz", tls=options)
    assert (seen.status, seen.body) == (200, "OK")
    assert wrong.failure is not None
    assert wrong.failure.reason is Reason.NAME_MISMATCH


async def test_https_that_demands_a_client_certificate(authority: Authority) -> None:
    """The refusal, which TLS 1.3 gives when the client reads, is a failure, never an exception."""
    with tls_server(authority.mutual()) as port:
        endpoint = Endpoint(HOST, port, "127.0.0.1")
        found = [await probe_http(endpoint, "/healthz", tls=TlsOptions(verify=False)) for _ in range(5)]
    assert all(seen.failure is not None and seen.failure.detail for seen in found)


@pytest.mark.parametrize(
    ("handler", "reason", "seconds"),
    [
        pytest.param(silence, Reason.NO_ANSWER, 1, id="silent"),
        pytest.param(hang_up, Reason.NOT_HTTP, 30, id="closes"),
    ],
)
async def test_what_is_not_http(handler: Handler, reason: Reason, seconds: float) -> None:
    """A server that does not speak HTTP is a failure, never an exception."""
    async with serving(handler) as port:
        seen = await probe_http(local(port), "/healthz", timeout=seconds)
    assert seen.failure is not None
    assert seen.failure.reason is reason


@given(message=st.binary(max_size=200), number=st.integers(1, 20))
def test_no_bytes_break_the_protobuf_reader(message: bytes, number: int) -> None:
    """Any bytes give fields or nothing, and a written message is read back."""
    protobuf.first(message, number)
    written = protobuf.bytes_field(number, message)
    assert protobuf.first(written, number) == message
