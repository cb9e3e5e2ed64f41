"""The diagnosis of ``verify`` for servers that are wrong in one way each, with the real PyMilvus as the client."""

from __future__ import annotations

import datetime as dt
import io
import logging
from pathlib import Path

import grpc
import pytest

from kiteway.milvus.verify import FailureReason, Target, VerifyReport, verify
from kiteway.probe.own import NO_ENDPOINT
from tests.unit.probe_servers import (
    CONNECT,
    HOST,
    Authority,
    Handler,
    full_backlog,
    grpc_server,
    http1,
    http2,
    self_signed,
    serving,
    silence,
    tls_server,
)

pytest.importorskip("pymilvus")
pytestmark = pytest.mark.anyio

SERVICE = CONNECT.rpartition("/")[0]
GET_VERSION = f"{SERVICE}/GetVersion"
CREATE = f"{SERVICE}/CreateCollection"
NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)
SENTENCE = "the balancer's own sentence"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Return a CA of the test's own."""
    return Authority(tmp_path)


def plain(port: int, token: str | None = None) -> Target:
    """A target without TLS."""
    return Target(host="127.0.0.1", port=port, secure=False, token=token)


def reason(report: VerifyReport) -> FailureReason | None:
    """The report's reason."""
    return report.failure.reason if report.failure else None


def sentence(report: VerifyReport) -> str:
    """The report's sentence."""
    return report.failure.sentence if report.failure else ""


async def test_a_closed_port() -> None:
    """For a closed port the layer is TCP."""
    async with serving(silence) as port:
        pass
    report = await verify(Target(host="127.0.0.1", port=port), timeout=10)
    assert not report.verified
    assert reason(report) is FailureReason.TCP
    assert sentence(report) == f"127.0.0.1:{port} refused the TCP connection."


async def test_a_dropped_connect() -> None:
    """For dropped packets the layer is TCP, and the fix mentions a firewall."""
    with full_backlog() as port:
        report = await verify(Target(host="127.0.0.1", port=port), timeout=4)
    assert reason(report) is FailureReason.TCP
    assert report.failure is not None
    assert "firewall" in report.failure.fix


async def test_an_unknown_name() -> None:
    """For a name without a record the layer is DNS."""
    report = await verify(Target(host="no-such-name.invalid"), timeout=10)
    assert reason(report) is FailureReason.DNS


async def test_an_ipv6_address_is_pymilvus_s_limit() -> None:
    """PyMilvus cannot connect to an IPv6 address: the report says that, and not that the server is wrong."""
    report = await verify(Target(host="::1", port=1), timeout=10)
    assert reason(report) is FailureReason.SDK


async def test_tls_to_a_plaintext_server() -> None:
    """For a plaintext HTTP/2 server the layer is TLS, and the report names the server's protocol."""
    with grpc_server({}) as port:
        report = await verify(Target(host="127.0.0.1", port=port), timeout=10)
    assert reason(report) is FailureReason.TLS
    assert "HTTP/2 in plaintext" in sentence(report)


async def test_plaintext_to_a_tls_server(authority: Authority) -> None:
    """The report says that the server uses TLS and the client does not."""
    with grpc_server({}, authority.grpc_credentials()) as port:
        report = await verify(plain(port), timeout=10)
    assert reason(report) is FailureReason.TLS_EXPECTED


async def test_a_certificate_of_another_name(authority: Authority) -> None:
    """The certificate's names are in the sentence, the first of them in the fix."""
    with grpc_server({}, authority.grpc_credentials("other.example")) as port:
        report = await verify(Target(host="127.0.0.1", port=port, ca=authority.ca_file, server_name=HOST), timeout=10)
    assert reason(report) is FailureReason.CERTIFICATE_NAME
    assert sentence(report) == f"The certificate of 127.0.0.1:{port} is not for {HOST}: it is for other.example."
    assert report.failure is not None
    assert "--server-name other.example" in report.failure.fix


@pytest.mark.parametrize("given", [False, True])
async def test_a_certificate_of_another_ca(authority: Authority, tmp_path: Path, *, given: bool) -> None:
    """Without --ca no public CA matches; with the wrong --ca the report names the file."""
    wrong, _ = self_signed(tmp_path)
    with grpc_server({}, authority.grpc_credentials("127.0.0.1")) as port:
        report = await verify(Target(host="127.0.0.1", port=port, ca=wrong if given else None), timeout=10)
    assert reason(report) is FailureReason.CERTIFICATE
    assert ("self.pem" if given else "public CA") in sentence(report)


@pytest.mark.parametrize("name", [HOST, "other.example"], ids=["another-ca", "another-name"])
async def test_a_host_that_is_not_routed_is_not_a_matter_of_certificates(authority: Authority, name: str) -> None:
    """Kiteway presents another host's certificate and says that it routes no such host; that is what is reported."""
    ca = authority.ca_file if name != HOST else None
    with grpc_server({CONNECT: in_milvus_shape(65, OURS)}, authority.grpc_credentials(name)) as port:
        report = await verify(Target(host="127.0.0.1", port=port, ca=ca, server_name=HOST, token="root:x"), timeout=10)
    assert reason(report) is FailureReason.ROUTE
    assert "without Milvus: no Ingress routes the host milvus.example." in sentence(report)
    assert report.failure is not None
    assert "Give the host of a rule by --server-name" in report.failure.fix


async def test_an_expired_certificate(authority: Authority) -> None:
    """The report says that it is expired, with the date."""
    context = authority.context("127.0.0.1", not_before=NOW - 3 * DAY, not_after=NOW - DAY)
    async with serving(silence, context) as port:
        report = await verify(Target(host="127.0.0.1", port=port, ca=authority.ca_file), timeout=10)
    assert reason(report) is FailureReason.CERTIFICATE
    assert f"{NOW - DAY:%Y-%m-%d}" in sentence(report)


async def test_no_alpn(authority: Authority) -> None:
    """For TLS without h2 the layer is ALPN."""
    async with serving(silence, authority.context("127.0.0.1", alpn=())) as port:
        report = await verify(Target(host="127.0.0.1", port=port, ca=authority.ca_file), timeout=10)
    assert reason(report) is FailureReason.ALPN


async def test_mutual_tls(authority: Authority) -> None:
    """The report says that the server requires a client certificate."""
    with tls_server(authority.mutual()) as port:
        report = await verify(Target(host="127.0.0.1", port=port, ca=authority.ca_file, server_name=HOST), timeout=10)
    assert reason(report) is FailureReason.CLIENT_CERTIFICATE


def page(status: str, body: bytes = b"<html>") -> Handler:
    """An HTML answer over HTTP/2."""
    return http2([(":status", status), ("server", "nginx"), ("content-type", "text/html")], body)


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        pytest.param(page("404"), FailureReason.ROUTE, id="404"),
        pytest.param(page("502"), FailureReason.NO_HEALTHY_ENDPOINT, id="502"),
        pytest.param(page("403"), FailureReason.AUTH, id="403"),
        pytest.param(page("200"), FailureReason.NOT_MILVUS, id="200"),
        pytest.param(http1("404 Not Found", b"<html>"), FailureReason.HTTP2, id="http1"),
    ],
)
async def test_an_answer_that_is_not_grpc(handler: Handler, expected: FailureReason) -> None:
    """An answer in HTML is not Milvus's: the report has its status and its ``server``."""
    async with serving(handler) as port:
        report = await verify(plain(port), timeout=10)
    assert reason(report) is expected
    assert ("HTTP/1.1 404" if expected is FailureReason.HTTP2 else "nginx") in sentence(report)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (grpc.StatusCode.UNIMPLEMENTED, FailureReason.NOT_MILVUS),
        (grpc.StatusCode.PERMISSION_DENIED, FailureReason.ROUTE),
        (grpc.StatusCode.UNAUTHENTICATED, FailureReason.AUTH),
        (grpc.StatusCode.UNAVAILABLE, FailureReason.NO_HEALTHY_ENDPOINT),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, FailureReason.LIMITED),
        (grpc.StatusCode.INTERNAL, FailureReason.MILVUS),
    ],
)
async def test_a_grpc_status_at_connect(status: grpc.StatusCode, expected: FailureReason) -> None:
    """The reason follows from the status, and the report has the server's sentence, which PyMilvus drops."""
    with grpc_server({CONNECT: (status, SENTENCE)}) as port:
        report = await verify(plain(port), timeout=10)
    assert reason(report) is expected
    assert SENTENCE in sentence(report)


async def test_milvus_s_own_error_at_connect() -> None:
    """An error inside an OK answer is Milvus's."""
    status = b"\x12\x09not ready\x18\x01"
    with grpc_server({CONNECT: b"\x0a" + bytes([len(status)]) + status}) as port:
        report = await verify(plain(port), timeout=10)
    assert reason(report) is FailureReason.MILVUS
    assert "not ready" in sentence(report)


OURS = "kiteway: no Ingress routes the host milvus.example. Add a rule for it."


def in_milvus_shape(code: int, text: str) -> bytes:
    """Return a ``ConnectResponse`` whose status has a code and a reason."""
    status = b"\x12" + bytes([len(text)]) + text.encode() + b"\x18" + bytes([code])
    return b"\x0a" + bytes([len(status)]) + status


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        pytest.param({CONNECT: in_milvus_shape(65, OURS)}, FailureReason.ROUTE, id="connect"),
        pytest.param({CONNECT: (grpc.StatusCode.PERMISSION_DENIED, OURS)}, FailureReason.ROUTE, id="denied"),
        pytest.param({CONNECT: (grpc.StatusCode.UNAVAILABLE, OURS)}, FailureReason.NO_HEALTHY_ENDPOINT, id="none"),
        pytest.param({CONNECT: (grpc.StatusCode.RESOURCE_EXHAUSTED, OURS)}, FailureReason.LIMITED, id="limit"),
        pytest.param(
            {CONNECT: b"", GET_VERSION: (grpc.StatusCode.PERMISSION_DENIED, OURS)}, FailureReason.ROUTE, id="path"
        ),
        pytest.param(
            {CONNECT: b"", GET_VERSION: b"\x0a\x00\x12\x02v2", CREATE: in_milvus_shape(65, OURS)[2:]},
            FailureReason.ROUTE,
            id="later",
        ),
    ],
)
async def test_an_answer_of_the_balancers_own(
    answers: dict[str, bytes | tuple[grpc.StatusCode, str]], expected: FailureReason
) -> None:
    """What Kiteway answers by itself is said to be Kiteway's, in whatever shape it comes; Milvus is not blamed."""
    with grpc_server(answers) as port:
        report = await verify(plain(port), timeout=10)
    assert reason(report) is expected
    assert sentence(report) == (
        f"Kiteway at 127.0.0.1:{port} answers by itself, without Milvus: {OURS.removeprefix('kiteway: ')}"
    )
    assert "Milvus's own log" not in (report.failure.fix if report.failure else "")


async def test_no_healthy_endpoint_in_milvus_s_shape() -> None:
    """`Connect` gets it with the gRPC status OK; the reason is the same as with UNAVAILABLE, so a Milvus that starts has time."""
    with grpc_server({CONNECT: in_milvus_shape(65, f"kiteway: {NO_ENDPOINT}; look there.")}) as port:
        report = await verify(plain(port), timeout=10)
    assert reason(report) is FailureReason.NO_HEALTHY_ENDPOINT


async def test_a_rest_error_of_the_balancers_own() -> None:
    """Its JSON, too, which a call gets that is not recognised as gRPC on its way."""
    body = b'{"code":404,"message":"kiteway: host a has no route for /b. Add the path to the Ingress."}'
    async with serving(http2([(":status", "404"), ("content-type", "application/json")], body)) as port:
        report = await verify(plain(port), timeout=10)
    assert reason(report) is FailureReason.ROUTE
    assert sentence(report).endswith("without Milvus: host a has no route for /b. Add the path to the Ingress.")


@pytest.mark.parametrize(
    "headers",
    [[(":status", "301")], [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "2")]],
    ids=["http", "grpc"],
)
async def test_a_redirect(headers: list[tuple[str, str]]) -> None:
    """A port that redirects to HTTPS is named as that, with where it leads, also as Envoy sends it to gRPC clients."""
    moved = http2([*headers, ("location", "https://milvus.example:8443/x")])
    async with serving(moved) as port:
        report = await verify(plain(port), timeout=10)
    assert reason(report) is FailureReason.ROUTE
    assert "redirects the call to https://milvus.example:8443/x, which no gRPC client follows" in sentence(report)
    assert report.failure is not None
    assert "Leave out --plaintext" in report.failure.fix


async def test_a_server_that_begins_no_handshake() -> None:
    """The sentence names what the server does, and the advice the port or a proxy whose own server is away."""
    async with serving(silence) as port:
        report = await verify(Target(host="127.0.0.1", port=port), timeout=4)
    assert reason(report) is FailureReason.TLS
    assert sentence(report) == f"127.0.0.1:{port} accepts connections and finishes no TLS handshake."
    assert report.failure is not None
    assert "a server of another protocol waits there" in report.failure.fix


async def test_a_mute_server() -> None:
    """A server that takes the connection and says nothing has accepted no call."""
    async with serving(silence) as port:
        report = await verify(plain(port), timeout=4)
    assert reason(report) is FailureReason.TIMEOUT
    assert sentence(report) == f"127.0.0.1:{port} accepts connections and says nothing: no HTTP/2 came in time."


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (grpc.StatusCode.PERMISSION_DENIED, FailureReason.PERMISSION),
        (grpc.StatusCode.UNAVAILABLE, FailureReason.NO_HEALTHY_ENDPOINT),
    ],
)
async def test_a_grpc_status_after_connect(status: grpc.StatusCode, expected: FailureReason) -> None:
    """If a step after the connection fails, the reason follows from the step's own status."""
    answers: dict[str, bytes | tuple[grpc.StatusCode, str]] = {
        CONNECT: b"",
        GET_VERSION: b"\x0a\x00\x12\x02v2",
        CREATE: (status, SENTENCE),
    }
    with grpc_server(answers) as port:
        # PyMilvus gives up its retries 3.6 s after the first attempt; the run allows it 6.4 s.
        report = await verify(plain(port), timeout=8)
    assert [step.name for step in report.steps] == ["connect-orm", "connect-client", "create"]
    assert reason(report) is expected
    assert SENTENCE in sentence(report)
    assert report.versions.milvus == "v2"
    # A refusal is certain; after anything else the collection may be there.
    assert (report.leftover is None) is (status is grpc.StatusCode.PERMISSION_DENIED)


async def test_a_proxy_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyMilvus uses http_proxy, the probes do not: if only PyMilvus fails, the report names the variable."""
    async with serving(silence) as dead:
        pass
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{dead}")
    monkeypatch.setenv("no_proxy", "")
    with grpc_server({CONNECT: b"", GET_VERSION: b"\x0a\x00\x12\x02v2"}) as port:
        report = await verify(plain(port), timeout=10)
    assert reason(report) is FailureReason.HTTP_PROXY
    assert "$http_proxy" in sentence(report)


async def test_pymilvus_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    """Neither PyMilvus's tracebacks nor its warnings nor gRPC's log reach the user, and logging is restored."""
    logger = logging.getLogger("pymilvus.decorators")
    before = (logger.disabled, logging.getLogger("pymilvus").disabled)
    written = io.StringIO()
    # PyMilvus's own handler keeps the standard error of the moment of its import, so this one listens beside it.
    listener = logging.StreamHandler(written)
    logging.getLogger("pymilvus").addHandler(listener)
    with grpc_server({CONNECT: b"", GET_VERSION: (grpc.StatusCode.UNAUTHENTICATED, SENTENCE)}) as port:
        report = await verify(plain(port), timeout=5)
    assert not report.verified
    logging.getLogger("pymilvus").removeHandler(listener)
    assert written.getvalue() == ""
    assert capfd.readouterr() == ("", "")
    assert (logger.disabled, logging.getLogger("pymilvus").disabled) == before


@pytest.mark.parametrize(
    "wrong",
    [
        {"client_cert": Path("c.pem")},
        {"client_cert": Path("c.pem"), "client_key": Path("k.pem")},
        {"secure": False, "server_name": HOST},
    ],
)
def test_contradictory_targets_are_refused(wrong: dict[str, object]) -> None:
    """Options that PyMilvus would silently ignore are refused."""
    with pytest.raises(ValueError, match=r"client certificate|--plaintext"):
        Target(host="milvus.example", **wrong)  # type: ignore[arg-type]


def test_a_target_does_not_print_its_token() -> None:
    """The printed form of a target does not contain the token."""
    assert "secret" not in repr(Target(host="milvus.example", token="secret"))
