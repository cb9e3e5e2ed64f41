"""What a client may and may not do, on a real Envoy."""

from __future__ import annotations

import contextlib
import http.client
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import h2.events
import pytest
from google.protobuf.message import Message

from kiteway._proto.envoy.config.listener.v3.listener_pb2 import Listener
from kiteway._proto.envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm,
)
from kiteway.envoy.xds.common import pack, seconds
from kiteway.envoy.xds.connection_manager import MAX_STREAMS
from kiteway.model import LoadBalancer, PoolKey
from tests.e2e.h2wire import Client
from tests.e2e.traffic import (
    INSERT,
    KEY,
    OK_RESULT,
    SEARCH,
    Backend,
    Proxy,
    call,
    eventually,
    failure,
    host,
    model,
    pool,
    route,
    running,
)

pytestmark = pytest.mark.e2e

STEERING = {
    "x-envoy-retry-on": "unavailable,reset,5xx",
    "x-envoy-retry-grpc-on": "unavailable",
    "x-envoy-max-retries": "5",
    "x-envoy-upstream-rq-timeout-ms": "1",
    "x-envoy-upstream-rq-per-try-timeout-ms": "1",
    "x-envoy-upstream-rq-timeout-alt-response": "1",
    "x-envoy-hedge-on-per-try-timeout": "true",
    "x-envoy-expected-rq-timeout-ms": "1",
    "x-envoy-internal": "true",
    "x-envoy-attempt-count": "7",
    "x-envoy-peer-metadata": "somebody",
    "x-envoy-peer-metadata-id": "somebody",
    "x-envoy-original-path": "/elsewhere",
    "x-envoy-external-address": "203.0.113.7",
    "x-envoy-of-tomorrow": "1",
}


def test_a_client_cannot_steer_retries_or_timeouts(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """
    An Insert with ``x-envoy-*`` headers, from loopback too, is sent once and with no shorter timeout. The
    endpoint gets none of the client's headers of this kind, whether Envoy knows them or not.
    """
    with Backend(grpc.StatusCode.UNAVAILABLE) as bad, Backend(grpc.StatusCode.UNAVAILABLE) as too:
        with running(tmp_path, free_port) as proxy, proxy.channel() as channel:
            proxy.apply(model(), [bad.endpoint(), too.endpoint()])
            error = failure(channel, INSERT, metadata=tuple(STEERING.items()))

        assert error.code() is grpc.StatusCode.UNAVAILABLE
        [seen] = bad.calls + too.calls
        left = {name: value for name, value in seen.metadata.items() if name.startswith("x-envoy-")}
        assert left == {"x-envoy-external-address": "127.0.0.1"}


@pytest.mark.parametrize("hops", [0, 1])
def test_only_trusted_hops_say_who_the_client_is(tmp_path: Path, free_port: Callable[[], int], hops: int) -> None:
    """A client's ``x-forwarded-for`` has no effect, unless as many proxies are trusted."""
    with Backend() as backend, running(tmp_path, free_port, trusted_hops=hops) as proxy, proxy.channel() as channel:
        proxy.apply(model(), [backend.endpoint()])
        call(channel, SEARCH, metadata=(("x-forwarded-for", "203.0.113.7"),))

        [seen] = backend.calls
        assert seen.metadata["x-envoy-external-address"] == ("203.0.113.7" if hops else "127.0.0.1")


def test_the_proxy_protocol_names_the_client(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """
    With the PROXY protocol the client's address is that in the header, and a connection without a header is
    closed.
    """
    with Backend() as backend, running(tmp_path, free_port, proxy_protocol=True) as proxy:
        proxy.apply(model(), [backend.endpoint()])
        with Client(proxy.port, b"PROXY TCP4 203.0.113.7 127.0.0.1 4711 443\r\n") as client:
            answer = client.response(client.request(SEARCH))
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\nHost: milvus\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):
                assert stranger.recv(100) == b""

        assert answer is not None
        [seen] = backend.calls
        assert seen.metadata["x-envoy-external-address"] == "203.0.113.7"


def test_no_path_leads_past_its_rule(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """
    If rules differ by path, a path is made canonical before it is routed. If no rule does, all paths go to
    the one Service.
    """
    elsewhere = ("/public/../admin", "/public/%2e%2e/admin")
    with Backend() as backend, running(tmp_path, free_port) as proxy:
        proxy.apply(model(), [backend.endpoint()])
        with proxy.channel() as channel:
            for path in elsewhere:
                call(channel, path)
        proxy.apply(model(None, host("*", route("/public"))), [backend.endpoint()])
        with proxy.channel() as channel:
            for path in elsewhere:
                assert failure(channel, path).code() is grpc.StatusCode.PERMISSION_DENIED
            for path in ("/public/./search", "/other/../public/search"):
                call(channel, path)

        assert [each.method for each in backend.calls] == ["admin", "admin", "search", "search"]


@pytest.mark.parametrize("slash", ["%2f", "%2F", "%5c", "\\"])
def test_an_escaped_slash_leads_past_no_rule(tmp_path: Path, free_port: Callable[[], int], slash: str) -> None:
    """
    If rules differ by path, REST is redirected to the path without the escape, and gRPC, which never has one,
    is refused.
    """
    path = f"/public/..{slash}admin"
    with Backend() as backend, running(tmp_path, free_port) as proxy:
        proxy.apply(model(None, host("*", route("/public"))), [backend.endpoint()])
        status, location = _get(proxy, "milvus", path)
        assert (status, location) == ((307, "/admin") if slash.startswith("%") else (404, None))
        with proxy.channel() as channel:
            code = failure(channel, path).code()
            assert code is (
                grpc.StatusCode.INVALID_ARGUMENT if slash.startswith("%") else grpc.StatusCode.PERMISSION_DENIED
            )
            assert call(channel, "/public/search") == OK_RESULT

        assert [each.method for each in backend.calls] == ["search"]


def _get(proxy: Proxy, name: str, path: str = "/") -> tuple[int, str | None]:
    """Return the status and the location of a REST answer to a request for ``path`` of the host ``name``."""
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=20)
    with contextlib.closing(connection):
        connection.putrequest("GET", path, skip_host=True)
        connection.putheader("Host", name)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.getheader("location")


NAMES = {
    "a.example.org": True,
    "A.Example.ORG:8443": True,
    "a_b-1.example.org": True,
    "a.b.example.org": False,
    "a.b.example.org:443": False,
    "a.b.example.org:abc": False,
    "a.b.example.org:1:2": False,
    "a.example.org:abc": False,
    "a..example.org": False,
    ".a.example.org": False,
    "..example.org": False,
    "a%2eb.example.org": False,
    "exact.example.net": True,
    "exact.example.net:8443": True,
    "exact.example.net:abc": False,
}


def test_a_wildcard_takes_one_label(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """A name that is no host name does not match a wildcard, and a port is a number; for REST and for gRPC."""
    with Backend() as backend, running(tmp_path, free_port) as proxy:
        hosts = (host("*.example.org"), host("exact.example.net"))
        proxy.apply(model(pool(rest=False), *hosts), [backend.endpoint()])
        # Without REST behind it, a host that is served says 501.
        assert {name: _get(proxy, name)[0] for name in NAMES} == {n: 501 if good else 404 for n, good in NAMES.items()}
        for name, good in NAMES.items():
            backend.calls.clear()
            with Client(proxy.port) as client:
                client.response(client.request(SEARCH, authority=name))
            assert bool(backend.calls) is good, name


def test_a_deeper_name_is_unknown(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """
    A name two labels below a wildcard is not found, beside a rule for all hosts too; that rule serves all
    other names.
    """
    with Backend() as backend, running(tmp_path, free_port) as proxy:
        proxy.apply(model(pool(rest=False), host("*"), host("*.example.org")), [backend.endpoint()])
        assert {name: _get(proxy, name)[0] for name in ("a.example.org", "a.b.example.org", "a.b.example.net")} == {
            "a.example.org": 501,
            "a.b.example.org": 404,
            "a.b.example.net": 501,
        }


def test_keepalive_pings_without_calls_are_accepted(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """PyMilvus pings every 10 s without a call; a hundred pings in a row are all answered, without a GOAWAY."""
    with Backend() as backend, running(tmp_path, free_port) as proxy:
        proxy.apply(model(), [backend.endpoint()])
        with Client(proxy.port) as client:
            for number in range(100):
                client.connection.ping(struct.pack(">Q", number))
                client.flush()

            def all_answered(_event: object) -> bool:
                return sum(isinstance(e, h2.events.PingAckReceived) for e in client.events) == 100

            assert client.wait(all_answered) is not None
            assert client.response(client.request(SEARCH)) is not None
            assert not [e for e in client.events if isinstance(e, h2.events.ConnectionTerminated)]


def test_concurrent_streams_have_a_limit(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """The connection's SETTINGS give the number of concurrent calls."""
    with Backend() as backend, running(tmp_path, free_port) as proxy:
        proxy.apply(model(), [backend.endpoint()])
        with Client(proxy.port) as client:
            client.wait(lambda e: isinstance(e, h2.events.RemoteSettingsChanged))
            assert client.connection.remote_settings.max_concurrent_streams == MAX_STREAMS


def test_connections_have_a_limit(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """One connection above the limit is closed at once; the others are served, and a free place can be used again."""
    with Backend() as backend, running(tmp_path, free_port, max_connections=5) as proxy:
        proxy.apply(model(), [backend.endpoint()])
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(Client(proxy.port)) for _ in range(5)]
            eventually(lambda: proxy.stat("http.http.downstream_cx_active") == 5, "all are connected")
            refused = stack.enter_context(socket.create_connection(("127.0.0.1", proxy.port), timeout=20))
            with contextlib.suppress(ConnectionResetError):
                assert refused.recv(100) == b""
            for client in clients:
                assert client.response(client.request(SEARCH)) is not None
        eventually(lambda: proxy.stat("http.http.downstream_cx_active") == 0, "all have left")
        with proxy.channel() as channel:
            assert call(channel, SEARCH) == OK_RESULT


@pytest.mark.parametrize(
    "headers",
    [[("x-long", "a" * 40_000)], [(f"x-{number}", "a") for number in range(200)]],
    ids=["40 kB of headers", "200 headers"],
)
def test_headers_have_a_limit(tmp_path: Path, free_port: Callable[[], int], headers: list[tuple[str, str]]) -> None:
    """Too many or too long headers are refused before an endpoint gets them, and other clients are not affected."""
    with Backend() as backend, running(tmp_path, free_port) as proxy:
        proxy.apply(model(), [backend.endpoint()])
        with Client(proxy.port) as client:
            answer = client.response(client.request(SEARCH, headers))
        assert answer is None or answer.get("grpc-status", "0") != "0" or answer[":status"] == "431"
        assert backend.calls == []
        with proxy.channel() as channel:
            assert call(channel, SEARCH) == OK_RESULT


def test_headers_that_never_end_are_not_waited_for(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """A client that does not finish its request's headers is disconnected after the header timeout."""

    def impatient(manager: hcm.HttpConnectionManager) -> None:
        assert manager.request_headers_timeout.seconds == 10
        manager.request_headers_timeout.CopyFrom(seconds(0.2))

    with Backend() as backend, running(tmp_path, free_port) as proxy:
        proxy.apply(model(), [backend.endpoint()], managers(impatient))
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as client:
            client.sendall(b"POST /v1/vector/search HTTP/1.1\r\nHost: milvus\r\nX-Slow: ")
            answer = b"".join(iter(lambda: client.recv(4096), b""))
        assert answer.startswith(b"HTTP/1.1 408 ")


def managers(change: Callable[[Any], None]) -> Callable[[list[Message]], None]:
    """Return a change of every connection manager among messages: what takes half an hour is too long for a test."""

    def applied(messages: list[Message]) -> None:
        for message in messages:
            if isinstance(message, Listener):
                for chain in message.filter_chains:
                    for network_filter in chain.filters:
                        manager = hcm.HttpConnectionManager()
                        network_filter.typed_config.Unpack(manager)
                        change(manager)
                        network_filter.typed_config.CopyFrom(pack(manager))

    return applied


def test_an_old_connection_ends_without_a_failed_call(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """Above its maximum age a connection gets a GOAWAY; the client reconnects and no call fails."""

    def short(manager: hcm.HttpConnectionManager) -> None:
        options = manager.common_http_protocol_options
        assert options.max_connection_duration.seconds == 1800
        assert options.max_connection_duration_jitter.value > 0
        options.max_connection_duration.CopyFrom(seconds(0.3))
        # Other work on the machine may hold the client up for so long.
        assert manager.drain_timeout.seconds == 3
        manager.drain_timeout.CopyFrom(seconds(30))

    with Backend() as backend, running(tmp_path, free_port) as proxy, proxy.channel() as channel:
        proxy.apply(model(), [backend.endpoint()], managers(short))
        ended = 0
        while ended < 3:
            assert call(channel, SEARCH) == call(channel, INSERT) == OK_RESULT
            ended = proxy.stat("downstream_cx_max_duration_reached")
            time.sleep(0.01)  # An idle moment, for the GOAWAY to come between two calls too.


def test_rapid_resets_end_the_connection(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """A client that only opens and resets streams is disconnected; other clients are served."""
    # Of another backend: what gets through before the end is more than a server in Python takes without refusing calls.
    other = PoolKey("default", "other", 19530)
    balanced = LoadBalancer(hosts=(host("milvus", route(key=other)), host()), pools=(pool(), pool(key=other)))
    with (
        Backend() as backend,
        Backend() as attacked,
        running(tmp_path, free_port) as proxy,
        proxy.channel() as channel,
    ):
        proxy.apply(balanced, {KEY: [backend.endpoint()], other: [attacked.endpoint()]})
        with Client(proxy.port) as client:
            sent = 0
            while sent < 50_000:
                try:
                    for _ in range(100):
                        stream = client.request(SEARCH, end=False)
                        client.connection.reset_stream(stream, error_code=8)
                        sent += 1
                    client.flush()
                except OSError:
                    break
            else:
                raise AssertionError(f"{sent} resets and still connected")
        assert proxy.stat(f"pool/{other}/grpc.upstream_rq_total") > 0, "some came through"
        assert call(channel, SEARCH) == OK_RESULT
        assert proxy.stat("http.http.downstream_cx_active") <= 1


def test_a_deadline_that_many_calls_miss_is_no_attack(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """After a thousand calls that miss a deadline of 0.3 s the connection is still usable."""

    def slow(request: bytes, context: grpc.ServicerContext) -> bytes:
        time.sleep(0.4)
        return OK_RESULT

    with Backend(slow) as backend, running(tmp_path, free_port) as proxy, proxy.channel() as channel:
        proxy.apply(model(), [backend.endpoint()])
        stub: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(INSERT)
        for _ in range(5):
            calls = [stub.future(b"", timeout=0.3) for _ in range(200)]
            codes = {pending.code() for pending in calls}
            assert codes <= {grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.OK}
        backend.answer = OK_RESULT
        assert call(channel, SEARCH) == OK_RESULT
        assert proxy.stat("downstream_rq_too_many_premature_resets") == 0
