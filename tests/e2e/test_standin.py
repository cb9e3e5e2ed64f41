"""Kiteway in front of the transport of Milvus 2.6 and 3.x, which ``tests/standin`` stands in for."""

from __future__ import annotations

import asyncio
import concurrent.futures
import datetime as dt
import http.client
import json
import tempfile
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from h2.events import DataReceived

from kiteway.doctor import RULES, AddressTarget, Result
from kiteway.doctor.address import look_at_address
from kiteway.envoy.xds import clusters
from kiteway.filter import filter_path, missing_reason
from kiteway.probe import Endpoint as Address
from kiteway.probe import TlsOptions
from kiteway.probe.h2 import probe_h2
from kiteway.probe.http import probe_http
from kiteway.probe.milvus import get_version
from tests.e2e.h2wire import Client
from tests.e2e.traffic import (
    INSERT,
    OK_RESULT,
    SEARCH,
    SERVICE,
    Proxy,
    call,
    eventually,
    health_check,
    model,
    pool,
    running,
)
from tests.support.kiteway import up
from tests.support.standin import StandIn, stand_in

pytestmark = pytest.mark.e2e

SEARCHES = 600
_MAX_CONCURRENT_STREAMS = 3  # RFC 9113, 6.5.2
REST_SEARCH = "/v2/vectordb/entities/search"
REST_INSERT = "/v2/vectordb/entities/insert"
TOKEN = "root:s3cret"


def test_six_hundred_searches_at_once_are_on_several_connections(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """
    600 searches of a second each, on one connection of a client, are active at once: Kiteway opens more connections before
    one has the 250 streams that Go's HTTP/2 server allows.
    """
    with (
        stand_in("-search=1s", f"-together={SEARCHES}") as milvus,
        running(tmp_path, free_port) as proxy,
        proxy.channel() as channel,
    ):
        proxy.apply(model(), [milvus.endpoint])
        stub: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(SEARCH)
        answers = [stub.future(b"", timeout=60) for _ in range(SEARCHES)]

        assert Counter(answer.result() for answer in answers) == {OK_RESULT: SEARCHES}
        seen = milvus.seen()
        assert proxy.stat("downstream_cx_total") == 1
        assert proxy.stat("upstream_rq_retry") == 0

    assert seen["most_searches"] == SEARCHES
    assert seen["most_streams"] <= 250
    assert seen["connections"] >= 3


def test_a_smaller_limit_of_streams_is_kept(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """A server that allows 20 streams gets no more than 20 on a connection, and no search fails."""
    with (
        stand_in("-streams=20", "-together=100") as milvus,
        running(tmp_path, free_port) as proxy,
        proxy.channel() as channel,
    ):
        proxy.apply(model(), [milvus.endpoint])
        stub: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(SEARCH)
        # The first connection's limit is known once the server has said it.
        assert call(channel, f"{SERVICE}/GetVersion")
        answers = [stub.future(b"", timeout=60) for _ in range(100)]

        assert Counter(answer.result() for answer in answers) == {OK_RESULT: 100}
        assert milvus.seen()["most_streams"] <= 20


def test_a_write_after_idle_time_is_done_once(
    tmp_path: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kiteway closes an idle connection before Milvus does; scaled 1:100, so 2.4 s and 3 s. A write then succeeds."""
    monkeypatch.setattr(clusters, "UPSTREAM_IDLE", clusters.UPSTREAM_IDLE / 100)
    with stand_in("-idle=3s") as milvus, running(tmp_path, free_port) as proxy:
        _write_after_idle_time(proxy, milvus, 3.5)


@pytest.mark.chaos
@pytest.mark.timeout(500)
def test_a_write_after_five_minutes_is_done_once(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """The same with the true times: Kiteway's 240 s, and the 300 s of ``proxy.http.idleTimeout``."""
    with stand_in() as milvus, running(tmp_path, free_port) as proxy:
        _write_after_idle_time(proxy, milvus, 305)


def _write_after_idle_time(proxy: Proxy, milvus: StandIn, seconds: float) -> None:
    """Write by gRPC and by REST, wait longer than Milvus keeps an idle connection, and write again."""
    proxy.apply(model(pool(rest=True)), [milvus.endpoint])
    with proxy.channel() as channel:
        assert call(channel, INSERT) == OK_RESULT
        assert _rest(proxy.port, REST_INSERT)[0] == 200
        end = time.monotonic() + seconds
        eventually(lambda: time.monotonic() > end, "the time is over", seconds + 30)
        seen = milvus.seen()
        assert (seen["closed_by_client"], seen["closed_by_server"]) == (2, 0)
        assert call(channel, INSERT) == OK_RESULT
        assert _rest(proxy.port, REST_INSERT)[0] == 200
    seen = milvus.seen()
    assert (seen["writes"], seen["connections"]) == (4, 4)


@pytest.mark.skipif(filter_path() is None, reason=missing_reason())
@pytest.mark.parametrize("how", ["terminate", "close"])
def test_a_shutdown_under_load_costs_no_read(tmp_path: Path, free_port: Callable[[], int], how: str) -> None:
    """
    A proxy that stops during searches costs no read, by gRPC or REST, though h2c ends without GOAWAY and active calls are cut;
    the same for one that is killed. The proxy that starts again on the same port gets calls again.
    """
    # It stops after half a second, and searches take up to a second: some are cut.
    options = ("-search=700ms", "-stop=500ms")
    with stand_in(*options) as stays, stand_in(*options) as stops, running(tmp_path, free_port) as proxy:
        proxy.apply(model(pool(rest=True, health_check=health_check())), [stays.endpoint, stops.endpoint])
        eventually(lambda: not proxy.failing(), "both are healthy")
        ended = threading.Event()
        with concurrent.futures.ThreadPoolExecutor(32) as workers:
            loads = [workers.submit(_searches if n % 2 else _rest_searches, proxy, ended) for n in range(32)]
            try:
                eventually(lambda: stops.seen()["most_searches"] > 5, "it has searches")
                getattr(stops, how)()
                stops.process.wait(timeout=20)
                eventually(lambda: proxy.stat("upstream_rq_retry_success") > 0, "its searches were sent elsewhere")
                with stand_in(*options, f"-port={stops.port}", f"-management={stops.management}") as again:
                    eventually(lambda: again.seen()["most_searches"] > 5, "it has searches again")
                    ended.set()
                    outcomes = sum((load.result() for load in loads), Counter[str]())
            finally:
                ended.set()

    assert set(outcomes) == {"ok", "200"}, outcomes


@pytest.mark.skipif(filter_path() is None, reason=missing_reason())
def test_a_proxy_that_says_it_is_not_ready_costs_no_read(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """
    A proxy that serves on while it is Abnormal costs no read, by gRPC or REST, though its health is not checked. A write's
    client gets Milvus's own answer.
    """
    with stand_in("-search=5ms") as stays, stand_in("-linger=20s") as stops, running(tmp_path, free_port) as proxy:
        proxy.apply(model(pool(rest=True)), [stays.endpoint, stops.endpoint])
        stops.terminate()
        eventually(lambda: _management(stops, "/healthz") == 500, "it is not ready")
        with proxy.channel() as channel:
            assert {call(channel, SEARCH) for _ in range(20)} == {OK_RESULT}
            assert {
                (status, body["code"]) for status, _, body in (_rest(proxy.port, REST_SEARCH) for _ in range(20))
            } == {(200, 0)}
        assert proxy.stat("upstream_rq_retry_success") >= 2

        proxy.apply(model(pool(rest=True)), [stops.endpoint])
        status, _, body = _rest(proxy.port, REST_INSERT)
        assert (status, body["code"]) == (200, 1)
        status, _, body = _rest(proxy.port, REST_SEARCH)
        assert (status, body["code"]) == (503, 1)


def test_rest_over_http2_is_http1_to_milvus(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """A client may use HTTP/2 for REST; Kiteway sends HTTP/1.1, which every version of Milvus takes."""
    with stand_in() as milvus, running(tmp_path, free_port) as proxy:
        proxy.apply(model(pool(rest=True)), [milvus.endpoint])
        with Client(proxy.port) as client:
            response = client.response(client.request("/v2/vectordb/collections/list", kind="application/json"))
            assert response is not None
            assert response[":status"] == "200"
            body = b"".join(event.data for event in client.events if isinstance(event, DataReceived))
        assert json.loads(body)["protocol"] == "HTTP/1.1"


def _searches(proxy: Proxy, ended: threading.Event) -> Counter[str]:
    outcomes = Counter[str]()
    with proxy.channel() as channel:
        while not ended.is_set():
            try:
                answer = call(channel, SEARCH, timeout=30)
            except grpc.RpcError as error:
                outcomes[f"{error.code()}: {error.details()}"] += 1
            else:
                outcomes["ok" if answer == OK_RESULT else repr(answer)] += 1
    return outcomes


def _rest_searches(proxy: Proxy, ended: threading.Event) -> Counter[str]:
    outcomes = Counter[str]()
    while not ended.is_set():
        status, _, body = _rest(proxy.port, REST_SEARCH)
        outcomes[str(status) if body.get("code") == 0 else f"{status} {body}"] += 1
    return outcomes


def test_a_full_queue_reaches_the_client(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """
    REST's 429 comes with its ``Retry-After`` and body, gRPC's refusal as it is in the answer. Neither is sent again, and
    neither ejects the endpoint.
    """
    with stand_in("-queue=1", "-together=2") as milvus, running(tmp_path, free_port) as proxy:
        proxy.apply(model(pool(rest=True)), [milvus.endpoint])
        with proxy.channel() as channel:
            stub: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(SEARCH)
            first = stub.future(b"", timeout=60)  # is active until the end, because no second one is let in
            eventually(lambda: milvus.seen()["most_searches"] == 1, "the queue is full")

            for number in range(1, 11):
                status, headers, body = _rest(proxy.port, REST_SEARCH)
                assert (status, headers["retry-after"], body["code"]) == (429, "1", 4)
                assert b"queue is full" in call(channel, SEARCH)
                assert milvus.seen()["refused"] == 2 * number
            assert _rest(proxy.port, REST_INSERT)[0] == 200
            first.cancel()
        assert not proxy.failing("rest")
        assert proxy.stat("ejections_enforced_total") == 0
        assert proxy.stat("upstream_rq_retry") == 0


def test_rest_needs_no_version_one(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """With ``enableV1: false`` REST's version 2 is served, and the 404 for version 1 is Milvus's own."""
    with stand_in("-v1=false") as milvus, running(tmp_path, free_port) as proxy:
        proxy.apply(model(pool(rest=True)), [milvus.endpoint])

        assert _rest(proxy.port, "/v2/vectordb/collections/list")[0] == 200
        assert _rest(proxy.port, "/v1/vector/search")[0] == 404


@pytest.mark.parametrize("options", [["-v1=false"], ["-v1=false", f"-token={TOKEN}"]])
def test_doctor_finds_rest_without_version_one(options: list[str]) -> None:
    """REST_SAME_PORT passes with ``enableV1: false``, with and without authorization, after one request."""
    with stand_in(*options) as milvus:
        target = AddressTarget(endpoint=Address("127.0.0.1", milvus.port), secure=False, timeout=10)
        facts = asyncio.run(look_at_address(target, dt.datetime.now(dt.UTC)))
        rule = next(rule for rule in RULES if rule.id == "REST_SAME_PORT")
        [finding] = rule.check(facts)
        assert finding.result is Result.PASSED
        # The other request is for /metrics, which must not be served there.
        assert milvus.seen()["rest_calls"] == 2


def test_up_serves_it_as_it_serves_every_milvus(free_port: Callable[[], int]) -> None:
    """
    ``kiteway up --to`` checks its health though the management asks for root's credential, and serves gRPC and REST on one TLS
    port.
    """
    options = ["-v1=false", f"-token={TOKEN}", f"-admin={TOKEN}"]
    with stand_in(*options) as milvus, tempfile.TemporaryDirectory(prefix="kw-") as folder:
        data, front = Path(folder) / "data", Address("localhost", free_port())
        to = f"127.0.0.1:{milvus.port},health={milvus.management}"
        with up(["--to", to, "--https-port", str(front.port), "--http-port", "0"], data) as kiteway:
            kiteway.wait_healthy(1)
            tls = TlsOptions(ca=next(data.rglob("tls.crt")))
            found = asyncio.run(get_version(front, tls=tls, token=TOKEN))
            rest = asyncio.run(probe_http(front, REST_SEARCH, tls=tls, json="{}"))

    assert (found.ok, found.version) == (True, "v3.0.1-standin")
    assert rest.status == 401


def test_the_stand_in_is_what_its_page_says() -> None:
    """One port has gRPC, and REST over HTTP/1.1 and HTTP/2, with 250 streams; only operators' paths ask for root."""
    with stand_in("-admin=root:Milvus") as milvus:
        settings = asyncio.run(probe_h2(Address("127.0.0.1", milvus.port), None)).settings
        assert settings is not None
        assert settings[_MAX_CONCURRENT_STREAMS] == 250
        assert _rest(milvus.port, "/v2/vectordb/collections/list")[2]["protocol"] == "HTTP/1.1"
        with Client(milvus.port) as client:
            stream = client.request("/v2/vectordb/collections/list", kind="application/json")
            response = client.response(stream)
            assert response is not None
            assert response[":status"] == "200"
        found = {path: _management(milvus, path) for path in ("/healthz", "/livez", "/metrics", "/webui/")}
        assert found == {"/healthz": 200, "/livez": 200, "/metrics": 200, "/webui/": 401}
        assert _management(milvus, "/management/check/ready") == 200
        assert _management(milvus, "/management/stop") == 401
        assert _management(milvus, "/management/stop", "root:Milvus") == 200


def test_a_stand_in_that_stops_is_alive_and_not_ready() -> None:
    """``/livez`` is no readiness: a proxy that stops answers it with 200, and ``/healthz`` with 500."""
    with stand_in("-stop=20s", "-together=2") as milvus, grpc.insecure_channel(f"127.0.0.1:{milvus.port}") as channel:
        stub: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(SEARCH)
        active = stub.future(b"", timeout=60)
        eventually(lambda: milvus.seen()["most_searches"] == 1, "a search is active")
        milvus.terminate()
        eventually(lambda: _management(milvus, "/healthz") == 500, "it stops")

        assert _management(milvus, "/livez") == 200
        assert b"Abnormal" in call(channel, SEARCH)  # on the connection that it has not closed
        active.cancel()


def _management(milvus: StandIn, path: str, credential: str = "") -> int:
    headers = {"Authorization": f"Basic {b64encode(credential.encode()).decode()}"} if credential else {}
    return _http(milvus.management, "GET", path, headers)[0]


def _rest(port: int, path: str) -> tuple[int, dict[str, str], Any]:
    status, headers, text = _http(port, "POST", path, {"Content-Type": "application/json"})
    return status, headers, json.loads(text) if "json" in headers.get("content-type", "") else text


def _http(port: int, method: str, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body=b"{}" if method == "POST" else None, headers=headers)
        response = connection.getresponse()
        text = response.read()
        return response.status, {key.lower(): value for key, value in response.headers.items()}, text
    finally:
        connection.close()
